"""The kinds of servers there are, by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tests.servers.mariadb import start_mariadb
from tests.servers.postgres import start_postgres
from tests.servers.process import Server
from tests.servers.redis import start_cluster, start_redis, start_valkey


class Starting(Protocol):
    """Start a server for the process `owner`."""

    def __call__(self, owner: int, *, durable: bool = False) -> Server: ...


@dataclass(frozen=True)
class Kind:
    """One kind of server. `variable` names one that already runs; `optional` ones may be missing on Debian too."""

    name: str
    variable: str
    start: Starting
    optional: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("postgres16", "LTM_TEST_POSTGRES_URL", partial(start_postgres, version=16)),
        Kind("postgres18", "LTM_TEST_POSTGRES_URL", partial(start_postgres, version=18)),
        Kind("mariadb", "LTM_TEST_MYSQL_URL", start_mariadb),
        Kind("redis", "LTM_TEST_REDIS_URL", start_redis),
        Kind("valkey", "LTM_TEST_VALKEY_URL", start_valkey, optional=True),
        Kind("redis-cluster", "LTM_TEST_REDIS_CLUSTER_URL", start_cluster),
    )
}
