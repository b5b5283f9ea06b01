"""PostgreSQL, for memories that many processes share.

Needs PostgreSQL 14 or newer. Where the database has the extension pgvector, vectors are compared there.
"""

from .store import PostgresStore

__all__ = ["PostgresStore"]
