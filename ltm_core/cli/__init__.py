"""The command line `ltm` (extra `cli`)."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from ..errors import MissingExtra


def main() -> int:
    """Run `ltm`. The exit code is 0, 1 for what failed, 2 for a wrong call, or 130 after Ctrl-C."""
    for package in ("typer", "rich"):
        if find_spec(package) is None:
            sys.stderr.write(f"ltm: {MissingExtra(package, 'cli')}\n")
            return 1
    try:
        from .run import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
