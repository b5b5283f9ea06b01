"""`python -m ltm_core.cli`: the same as `ltm`."""

import sys

from . import main

sys.exit(main())
