"""Partitions that nobody writes to any more: their last segment is ended.

A broker ends a segment when something is appended after `segment.ms`, and never compacts the last
one: what was superseded there would stay readable for as long as the partition is quiet.

Law: a partition that has not grown for as long as a segment lasts gets one aborted record, which
ends the segment; never a second one before it has grown again.
"""

from collections.abc import Mapping

from broker.log.interface import Place
from broker.log.kafka.admin import COMPACTED

SEGMENT_SECONDS = int(COMPACTED["segment.ms"]) / 1000
"""How long a segment lasts."""


class Quiet:
    """Since when each partition ends where it ends."""

    def __init__(self) -> None:
        self._since: dict[Place, tuple[int, float]] = {}
        self._ended: dict[Place, int] = {}

    def due(self, ends: Mapping[Place, int], now: float) -> list[Place]:
        """The partitions whose last segment is to be ended, of those that have these ends."""
        self._since = {
            place: self._since[place] if self._since.get(place, (-1, 0))[0] == end else (end, now)
            for place, end in ends.items()
        }
        return [
            place
            for place, (end, since) in self._since.items()
            if end > 0 and now - since >= SEGMENT_SECONDS and self._ended.get(place) != end
        ]

    def ended(self, ends: Mapping[Place, int]) -> None:
        """These were ended, and end there now."""
        self._ended |= ends
