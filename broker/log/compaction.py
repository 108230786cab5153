"""Compaction of the embedded log: of every key only the last version stays.

Law: in the background, a few records at a time, so that readers and writers go on; no
offset is given again, and none of what stays changes. A tombstone goes when it is old
enough for everybody to have read it, and only where the caller says it was passed on.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

_KEYS_A_PAGE = 20_000
_REMOVED_AT_ONCE = 1_000


class Compactable(Protocol):
    """What compaction needs of a log."""

    def keys(
        self, topic: str, partition: int, offset: int, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """See `Log`."""

    def end(self, topic: str, partition: int) -> int:
        """See `Log`."""

    def old_tombstones(self, topic: str, partition: int, before: int) -> set[int]:
        """Offsets of tombstones written before that time, in ms since 1970 UTC."""

    def remove(self, topic: str, partition: int, offsets: Sequence[int]) -> None:
        """Remove these records in one transaction."""


def compact(
    log: Compactable, topic: str, partition: int, upto: int | None, tombstones_before: int
) -> int:
    """Compact a partition below the offset `upto` (None: its end); how many records went.

    A record goes where a later one below `upto` has its key, or where it is a tombstone
    written before `tombstones_before`.
    """
    end = log.end(topic, partition)
    end = end if upto is None else min(end, upto)
    last: dict[bytes, int] = {}
    for offset, key in _keys(log, topic, partition, end):
        last[key] = offset
    gone = {offset for offset in log.old_tombstones(topic, partition, tombstones_before)}
    removed = 0
    waiting: list[int] = []
    for offset, key in _keys(log, topic, partition, end):
        if last.get(key, offset) != offset or (offset in gone and offset < end - 1):
            waiting.append(offset)
        if len(waiting) >= _REMOVED_AT_ONCE:
            log.remove(topic, partition, waiting)
            removed, waiting = removed + len(waiting), []
    if waiting:
        log.remove(topic, partition, waiting)
    return removed + len(waiting)


def _keys(log: Compactable, topic: str, partition: int, end: int) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < end:
        page = log.keys(topic, partition, start, _KEYS_A_PAGE)
        if not page:
            return
        yield from ((offset, key) for offset, key in page if offset < end)
        start = page[-1][0] + 1
