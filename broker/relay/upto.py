"""Which partitions may have work: those that have grown since there was nothing more to do.

Law: an end is taken before the step that finds nothing to do, and counts for one state of
everything else a step depends on: shares and their topics, years, who owns what. So nothing that
was committed is passed over; at worst a partition is looked at once too often.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from broker.log.interface import End, Log, Place
from broker.relay.position import YEARS, unpacked_year, year_position

_YEARS = 0.5
"""Seconds for which the years are believed while there is work: whoever orders one waits so long
for it. Nothing is settled by them."""


class _Seen(NamedTuple):
    """Everything but the partitions' ends."""

    revision: object
    owned: tuple[Place, ...]
    years: tuple[tuple[str, bytes], ...]
    topics: frozenset[str]


class Upto:
    """What was found at the last look, and up to where there was nothing more to do."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._seen: _Seen | None = None
        self._ends: Mapping[Place, End] = {}
        self._done: dict[Place, int] = {}
        self._years: Mapping[str, bytes] = {}
        self._asked = -_YEARS
        self.growing = False
        """Whether somebody is writing to one of the partitions."""
        self.settled = False
        """Whether a commit, or another state, is told before there is work again."""

    def look(self, revision: object, owned: Sequence[Place], topics: Collection[str]) -> None:
        """Take the ends of the partitions that are ours; `revision` is that of the sharing state,
        `topics` are those of its shares, whether or not they are there yet."""
        there = self._log.there(topics)
        fresh = time.monotonic() - self._asked >= _YEARS
        if fresh:
            self._asked = time.monotonic()
            self._years = self._log.positions(YEARS)
        seen = _Seen(revision, tuple(owned), tuple(sorted(self._years.items())), there)
        if seen != self._seen:
            self._seen, self._done = seen, {}
        self._ends = self._log.ends(owned)
        self.growing = any(end.growing for end in self._ends.values())
        self.settled = fresh and not self.growing and len(there) == len(topics)

    def year(self, dataset: str) -> int:
        """The year that was ordered for a dataset at the last look; 0 where none was."""
        return unpacked_year(self._years.get(year_position(dataset)))

    def waiting(self, topic: str) -> dict[int, int]:
        """The partitions of a collected topic that may have work, with their ends."""
        return {
            number: end.offset
            for (name, number), end in self._ends.items()
            if name == topic and self._done.get((name, number)) != end.offset
        }

    def done(self, topic: str, partition: int) -> None:
        """There was nothing to do in a partition, as far as it went at the last look."""
        self._done[topic, partition] = self._ends[topic, partition].offset
