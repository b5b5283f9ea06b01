"""The fact API: facts written, read, searched, linked and traced by hand, in any scope."""

from .persistent import PersistentFacts

__all__ = ["PersistentFacts"]
