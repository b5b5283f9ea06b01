"""Stores around a store: each adds one thing and passes everything else on.

store = Retrying(Observed(open_store("sqlite:///ltm.db"), on_call=print))
memory = Memory(store=store)
"""

from .base import Wrapper
from .cached import Cached
from .observed import Call, Observed
from .readonly import ReadOnly
from .retrying import Retrying

__all__ = ["Cached", "Call", "Observed", "ReadOnly", "Retrying", "Wrapper"]
