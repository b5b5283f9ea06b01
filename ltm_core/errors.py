"""Everything that can go wrong, in one tree. Each message ends with what to do next.

LTMError
├── ConfigurationError      the memory was put together wrongly
│   └── MissingExtra        an optional dependency is not installed
├── ScopeError              an id is missing, malformed or not allowed here (also a ValueError)
├── InvalidInput            a value, message or option cannot be stored or understood (also a ValueError)
├── NotFound                what was named does not exist (also a LookupError)
├── UsageError              a call from the wrong place, or after close (also a RuntimeError)
├── StoreError              the database refused or failed
│   ├── ConflictError       somebody else wrote first: read again and retry
│   ├── StoreUnavailable    the database cannot be reached or is locked
│   └── SchemaError         the database has another schema than this code
├── QueueFull               too many turns wait to be learned; this one was not stored
└── ExtractionError         a model's reply could not be used; the turn stays queued
"""


class LTMError(Exception):
    """Root of every error that this library raises on purpose."""


class ConfigurationError(LTMError):
    """The memory was put together wrongly."""


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed. Install it with: pip install 'ltm-core[{extra}]'")


class ScopeError(LTMError, ValueError):
    """An id is missing, malformed, or belongs to somebody else."""


class InvalidInput(LTMError, ValueError):
    """A value, message or option cannot be stored or understood."""


class NotFound(LTMError, LookupError):
    """What was named does not exist in this scope."""


class UsageError(LTMError, RuntimeError):
    """A call from the wrong place or too early: after `close`, where waiting never ends, before a turn is learned."""


class StoreError(LTMError):
    """The database refused or failed."""


class ConflictError(StoreError):
    """A record is no longer at the version that was read. Read it again and retry."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, or stayed locked for too long."""


class SchemaError(StoreError):
    """The database has another schema than this code understands."""


class QueueFull(LTMError):
    """Too many turns wait to be learned. This one was not stored: send it again later."""


class ExtractionError(LTMError):
    """A model's reply could not be used, even after repair. The turn stays queued and is tried again."""
