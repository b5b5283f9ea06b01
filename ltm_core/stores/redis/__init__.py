"""Redis and Valkey, one server or a cluster, without modules."""

from .store import RedisStore

__all__ = ["RedisStore"]
