from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ltm_core.model import Candidate
from ltm_core.policies import Extracting
from tests.servers.fixtures import (  # noqa: F401 # fixtures for all tests
    mysql_url,
    one_postgres_url,
    postgres_url,
    redis_cluster_url,
    redis_url,
    servers,
    valkey_url,
)

# A busy machine is no bug.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# A run in the background inherits that Ctrl-C is ignored, and the processes that tests interrupt would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def told(given: Extracting) -> Sequence[Candidate]:
    """An extractor for tests: `set ATTRIBUTE VALUE` and `drop ATTRIBUTE`, one a line, said by the user."""
    found = []
    for message in given.messages:
        for line in message.text.splitlines() if message.role == "user" else ():
            verb, _, rest = line.partition(" ")
            name, _, value = rest.partition(" ")
            attribute, _, item = name.partition("#")
            if verb in ("set", "drop"):
                found.append(
                    Candidate(
                        attribute=attribute,
                        item=item or None,
                        value=value or None,
                        retract=verb == "drop",
                        sources=[message.id] if message.id else [],
                    )
                )
    return found


# Where the oldest frameworks are installed, no drivers of servers are.
USUAL = ["memory", "sqlite", *(["postgres"] if find_spec("asyncpg") else [])]
URLS = os.environ.get("LTM_TEST_ON", " ".join(USUAL)).split()  # redis too, where it is asked for


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request, tmp_path)


def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of the kind that a fixture is asked for."""
    kept_by = {"postgres": "one_postgres_url", "redis": "redis_url"}
    if request.param in kept_by:
        return str(request.getfixturevalue(kept_by[request.param]))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/memory.db"
