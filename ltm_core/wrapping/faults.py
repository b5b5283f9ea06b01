"""What went wrong with a memory while agents answered without it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from weakref import WeakKeyDictionary

from ..runtime import Runtime

log = logging.getLogger("ltm_core")


class Faults:
    """Faults by kind: each kind is logged once and counted always."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, kind: str, remedy: str) -> None:
        """Count a fault, and log the first of its kind."""
        with self._lock:
            self.counts[kind] += 1
            first = self.counts[kind] == 1
        if first:
            log.warning("An agent ran without memory (%s). %s This is logged once.", kind, remedy)


_OF: WeakKeyDictionary[Runtime, Faults] = WeakKeyDictionary()


def faults_of(runtime: Runtime) -> Faults:
    """The faults of one memory, whoever uses it."""
    return _OF.setdefault(runtime, Faults())
