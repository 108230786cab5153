"""How much a batch may be, so that it takes no longer than it should, and lands.

Law: it is counted in what is written: records times the shares that each of them may reach. So
where many shares get every record, a batch begins with few of them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import LogError, PositionMoved, UnknownTopic

_LEAST = 50


class Pace:
    """At most `most` values, and about `seconds`; begins with `first`. No fewer than `least`, as
    what a commit takes by itself is no shorter for fewer; but where one has failed."""

    def __init__(self, most: int, seconds: float, first: int, least: int = _LEAST) -> None:
        self._most = most
        self._seconds = seconds
        self._least = min(least, most)
        self.limit = min(most, first)

    def records(self, each: int) -> int:
        """How many records, where each may reach so many shares; at least one."""
        return max(1, self.limit // max(1, each))

    @contextmanager
    def timed(self, written: int, before: float = 0.0) -> Iterator[None]:
        """So many values are written here, after so many seconds of making them."""
        started = time.monotonic() - before
        try:
            yield
        except (PositionMoved, UnknownTopic):
            raise
        except LogError:
            self.failed(written)
            raise
        self.took(written, time.monotonic() - started)

    def took(self, written: int, seconds: float) -> None:
        """A batch of so many values took so long."""
        if seconds > self._seconds:
            fitting = int(written * self._seconds / seconds)
            self.limit = min(self.limit, max(self._least, fitting))
        elif written >= self.limit and seconds < self._seconds / 2:
            self.limit = min(self._most, 2 * self.limit)

    def failed(self, written: int) -> None:
        """A batch of so many could not be committed."""
        self.limit = max(1, min(self.limit, written) // 2)


class Paces:
    """Those of a partition, which outlive what failed: of its own batches, and of those of a share
    that opens while others wait for what changes. `batch` is how many records the first has."""

    def __init__(self, batch: int) -> None:
        self.own = Pace(_MANY * batch, _BATCH, batch)
        self.beside = Pace(_MANY * batch, _BESIDE, _FIRST, _FIRST // 2)


_MANY = 10
"""Values of a record that are written at least, on average, before a batch has fewer records."""

_BATCH = 1.0
"""Seconds that a batch may take."""

_BESIDE = 0.05
"""The same for one beside others."""

_FIRST = 2_000
"""Values that such a one begins with."""
