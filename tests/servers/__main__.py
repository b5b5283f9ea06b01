"""Start servers by hand: `python -m tests.servers postgres18 redis`. They run until Ctrl-C.

Prints one line for a shell for each, once it answers: `export LTM_TEST_POSTGRES_URL=…`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from contextlib import ExitStack

from tests.servers.kinds import KINDS
from tests.servers.process import Unavailable

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    arguments = _arguments()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    with ExitStack() as running:
        for name in arguments.servers:
            _start(name, arguments.durable, running)
        signal.sigwait(_ENDING)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.servers", description="Database servers, until Ctrl-C.")
    parser.add_argument("servers", nargs="+", choices=KINDS, metavar="server", help=", ".join(KINDS))
    parser.add_argument("--durable", action="store_true", help="wait for the disk at each commit, as in production")
    return parser.parse_args()


def _start(name: str, durable: bool, running: ExitStack) -> None:
    kind, began = KINDS[name], time.perf_counter()
    try:
        server = kind.start(os.getpid(), durable=durable)
    except Unavailable as missing:
        sys.exit(f"{name}: {missing}")
    running.callback(server.stop)
    took = time.perf_counter() - began
    print(f"export {kind.variable}={shlex.quote(server.url)}  # {name}, {took:.2f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
