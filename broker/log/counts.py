"""How often a log did what: for metrics alone, nothing is decided by it."""

import threading
from collections import Counter
from collections.abc import Mapping

COMMITTED, ABORTED, FENCED, REBALANCED = "committed", "aborted", "fenced", "rebalanced"


class Counts:
    """Counters by name, each from 0."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = Counter({one: 0 for one in (COMMITTED, ABORTED, FENCED, REBALANCED)})

    def one(self, name: str) -> None:
        """It has happened once more."""
        with self._lock:
            self._known[name] += 1

    def all(self) -> Mapping[str, int]:
        """All of them now."""
        with self._lock:
            return dict(self._known)
