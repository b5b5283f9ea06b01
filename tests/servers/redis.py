"""Redis, Valkey and a Redis Cluster of three nodes, from PATH or out of Debian's packages."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as NotConnected

from tests.servers.debian import Program, program
from tests.servers.process import LOCAL, Launch, Server, free_port, start

_SLOTS = 16384
_NODES = 3


def start_redis(owner: int, *, durable: bool = False) -> Server:
    """Redis on a port of its own; with `durable` a write waits for the disk."""
    return start(partial(_plan, program("redis-server", "redis-server"), durable), owner, as_root=True)


def start_valkey(owner: int, *, durable: bool = False) -> Server:
    """The same for Valkey."""
    return start(partial(_plan, program("valkey-server", "valkey-server"), durable), owner, as_root=True)


def start_cluster(owner: int, *, durable: bool = False) -> Server:
    """Three Redis nodes that share the slots, without replicas; the URL names the first."""
    return start(partial(_plan_cluster, program("redis-server", "redis-server"), durable), owner, as_root=True)


def _plan(server: Program, durable: bool, folder: Path) -> Launch:
    port = free_port()
    return Launch(
        url=f"redis://{LOCAL}:{port}/0",
        serve=[_command(server, durable, folder, port)],
        ready=Redis(LOCAL, port).ping,
        environment=server.environment,
    )


def _command(server: Program, durable: bool, folder: Path, port: int) -> list[str]:
    kept = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
    where = ["--bind", LOCAL, "--port", str(port), "--dir", str(folder), "--appenddirname", f"appended-{port}"]
    return [str(server.path), *where, "--save", "", *kept]


def _plan_cluster(server: Program, durable: bool, folder: Path) -> Launch:
    ports = [(free_port(), free_port()) for _ in range(_NODES)]
    return Launch(
        url=f"redis+cluster://{LOCAL}:{ports[0][0]}",
        serve=[[*_command(server, durable, folder, port), *_clustered(port, bus)] for port, bus in ports],
        ready=_Joining(ports),
        environment=server.environment,
    )


def _clustered(port: int, bus: int) -> list[str]:
    return [
        *("--cluster-enabled", "yes", "--cluster-port", str(bus)),
        *("--cluster-config-file", f"nodes-{port}.conf", "--cluster-node-timeout", "5000"),
    ]


class _Joining:
    """Joins the nodes to a cluster once all of them answer, then looks whether they agree."""

    def __init__(self, ports: list[tuple[int, int]]) -> None:
        self._buses = [bus for _, bus in ports]
        self._nodes = [Redis(LOCAL, port, decode_responses=True) for port, _ in ports]
        self._joined = False

    def __call__(self) -> None:
        for node in self._nodes:
            node.ping()
        if not self._joined:
            self._join()
            self._joined = True
        if not all(_agrees(node) for node in self._nodes):
            raise NotConnected("the nodes do not know each other yet")

    def _join(self) -> None:
        first, *others = self._nodes
        for number, node in enumerate(self._nodes):
            begin, end = (_SLOTS * step // _NODES for step in (number, number + 1))
            _tell(node, "CLUSTER ADDSLOTSRANGE", begin, end - 1)
            _tell(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for other, bus in zip(others, self._buses[1:], strict=True):
            _tell(first, "CLUSTER MEET", LOCAL, _port(other), bus)


def _tell(node: Redis, *command: str | int) -> Any:
    return node.execute_command(*command)  # type: ignore[no-untyped-call]


def _port(node: Redis) -> int:
    return int(node.connection_pool.connection_kwargs["port"])


def _agrees(node: Redis) -> bool:
    told = _tell(node, "CLUSTER INFO")
    return bool(told["cluster_state"] == "ok" and told["cluster_size"] == str(_NODES))
