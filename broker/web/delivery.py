"""One batch after the other of a share, to somebody who may have it.

Law: a batch is read, then the right is asked, then the pull is recorded, then the right is
asked once more (recording may have had to wait for the store), and whether the log that it
was read from is still there; then it leaves. A share whose topic vanishes while it is read is
over, never merely at its end.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from broker.catalog import Catalog
from broker.errors import LogError, UnknownTopic
from broker.log.interface import PAGE_BYTES, Log
from broker.log.interface import Page as Records
from broker.relay.pages import taken
from broker.relay.versions import LastVersions
from broker.sharing.pulls import Pull, Pulls
from broker.telemetry import Event, RecordsPulled
from broker.web.cursor import Cursor
from broker.web.refusal import away, share_is_over, too_far_behind
from broker.web.rights import Right, Rights

Offsets = tuple[int, ...]
"""The next offset by partition."""

_NONE = Records((), (), ())

_NEARLY = PAGE_BYTES // 2
"""Bytes at which a page may have ended by its size alone."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records of a share, where to go on, and whether that is the end as it is now."""

    records: Records
    cursor: Cursor
    at_end: bool


class Delivery:
    """Reads shares for those who may. `clock` gives seconds since 1970 UTC."""

    def __init__(
        self,
        log: Log,
        rights: Rights,
        pulls: Pulls,
        catalog: Catalog,
        emit: Callable[[Event], None],
        confirm: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`confirm` raises `Replaced` where log or store is not the installation's any more."""
        self._log = log
        self._rights = rights
        self._pulls = pulls
        self._catalog = catalog
        self._emit = emit
        self._confirm = confirm
        self._clock = clock

    def beginning(self, right: Right) -> Cursor:
        """The cursor of somebody who has nothing of the share yet."""
        partitions = self._catalog.dataset(right.share.dataset).partitions
        return Cursor(right.share.id, (0,) * partitions, int(self._clock()))

    def end(self, right: Right) -> Cursor:
        """The cursor of somebody who has everything that is there now."""
        now = int(self._clock())
        partitions = self._catalog.dataset(right.share.dataset).partitions
        topic = right.share.topic
        with self._translated(right):
            ends = tuple(self._log.end(topic, number) for number in range(partitions))
        return Cursor(right.share.id, ends, now)

    def page(self, right: Right, cursor: Cursor, limit: int, kind: str) -> Page:
        """At most `limit` records after the cursor, checked and recorded.

        Every partition has the same room, so that none waits for another.
        """
        end = self.end(right)
        if cursor.too_old(self._clock()) or not _reachable(cursor.offsets, end.offsets):
            raise too_far_behind(right.share.dataset)
        found: list[Records] = []
        reached: list[int] = []
        count = size = 0
        with self._translated(right):
            for partition, offset in enumerate(cursor.offsets):
                room = min(-(-limit // len(end.offsets)), limit - count)
                room = room if size < PAGE_BYTES else 0
                page = self._log.page(right.share.topic, partition, offset, room) if room else _NONE
                after = page.offsets[-1] + 1 if page.keys else offset
                took = _bytes(page)
                full = len(page.keys) == room or took >= _NEARLY
                reached.append(after if full else max(after, end.offsets[partition]))
                found.append(page)
                count += len(page.keys)
                size += took
        at_end = all(map(int.__ge__, reached, end.offsets))
        since = end.since if at_end else cursor.since
        after_it = Cursor(right.share.id, tuple(reached), since)
        self._release(right, kind, cursor.offsets, after_it.offsets, count)
        return Page(_joined(found), after_it, at_end)

    def snapshot(self, right: Right, end: Cursor, size: int, weight: int) -> Iterator[Records]:
        """The current value of every key as of `end`, `size` at most a batch and about `weight`
        bytes, each batch checked and recorded; at least one batch, which may be empty."""
        before = (0,) * len(end.offsets)
        with self._translated(right):
            for partition, stop in enumerate(end.offsets):
                found = self._current(right.share.topic, partition, stop, size, weight)
                for offset, batch in found:
                    after = _put(before, partition, offset)
                    self._release(right, "snapshot", before, after, len(batch.keys))
                    yield batch
                    before = after

    def _current(
        self, topic: str, partition: int, stop: int, size: int, weight: int
    ) -> Iterator[tuple[int, Records]]:
        """The current values of a partition in batches, with the offset up to which each goes;
        the last goes to `stop`."""
        last = LastVersions(self._log, topic, partition, 0, stop)
        while not last.look():
            continue
        offset, held = 0, _NONE
        while offset < stop:
            page = self._log.page(topic, partition, offset, min(size, stop - offset))
            if not page.keys:
                break
            offset = page.offsets[-1] + 1
            for batch in _parts(_newest(page, last, stop), weight):
                if held.keys:
                    yield held.offsets[-1] + 1, held
                held = batch
        yield stop, held

    def _release(
        self, right: Right, kind: str, before: Offsets, after: Offsets, count: int
    ) -> None:
        """Ask for the right, record that this batch leaves, ask once more, and whether it was
        read from the log that is there."""
        self._rights.hold(right)
        key, share = right.key, right.share
        self._pulls.record(
            Pull(key.consumer, key.id, share.dataset, share.id, kind, before, after, count)
        )
        self._rights.hold(right)
        self._confirm()
        self._emit(RecordsPulled(share.dataset, share.id, key.consumer, kind, count))

    @contextmanager
    def _translated(self, right: Right) -> Iterator[None]:
        """A topic that is gone means that the share is over; another trouble of the log, that
        nothing can be said now."""
        try:
            yield
        except UnknownTopic:
            self._rights.hold(right)
            raise share_is_over(right.share.dataset) from None
        except LogError:
            raise away() from None


def _reachable(offsets: Offsets, ends: Offsets) -> bool:
    """Whether the offsets are of this log: another one may have been put in its place."""
    return len(offsets) == len(ends) and all(map(int.__le__, offsets, ends))


def _put(offsets: Offsets, partition: int, offset: int) -> Offsets:
    return (*offsets[:partition], offset, *offsets[partition + 1 :])


def _bytes(records: Records) -> int:
    return sum(len(value) for value in records.values if value)


def _joined(pages: Sequence[Records]) -> Records:
    return Records(
        [one for page in pages for one in page.offsets],
        [one for page in pages for one in page.keys],
        [one for page in pages for one in page.values],
    )


def _newest(page: Records, last: LastVersions, stop: int) -> Records:
    """Those records below `stop` that are the last of their key, and no tombstones."""
    below = bisect_left(page.offsets, stop)
    values = page.values
    numbers = [one for one in last.newest(page) if one < below and values[one] is not None]
    return page if len(numbers) == len(values) else taken(page, numbers)


def _parts(records: Records, weight: int) -> Iterator[Records]:
    """The records, cut where there would be more than about `weight` bytes."""
    start = size = 0
    for number, value in enumerate(records.values):
        size += len(value or b"")
        if size >= weight:
            yield _cut(records, start, number + 1)
            start, size = number + 1, 0
    if start < len(records.keys):
        yield _cut(records, start, len(records.keys)) if start else records


def _cut(records: Records, start: int, end: int) -> Records:
    return Records(records.offsets[start:end], records.keys[start:end], records.values[start:end])
