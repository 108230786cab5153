"""The log on Apache Kafka: topics are topics, tables and positions are compacted topics.

Law: see `interface`. One `commit` is one Kafka transaction, positions included. Positions are
compared with what is committed by a writer that fences its namesakes (`fences`); the relay's
batches also with the group's generation.
"""

import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from broker.errors import LogError, UnknownTopic
from broker.log.counts import REBALANCED, Counts
from broker.log.interface import PAGE_BYTES, Batch, End, Page, Place, Run, Stored
from broker.log.kafka.address import Address
from broker.log.kafka.admin import Admin
from broker.log.kafka.barrier import end_segments
from broker.log.kafka.copies import Copies
from broker.log.kafka.fences import CONTROL, Fence, scope_of
from broker.log.kafka.following import Following
from broker.log.kafka.quiet import Quiet
from broker.log.kafka.readers import Readers
from broker.log.kafka.transport import Fetched, Reader, Transport
from broker.log.kafka.work import Work
from broker.log.topics import COLLECTED, COMMITS, TABLES, must_match, partition_of

POSITIONS = "positions.shuqiao"
POSITION_PARTITIONS = 16
_TABLE_PARTITIONS = 4
"""Partitions of a table whose dataset has no collected topic."""
_KNOWN = 1.0
"""Seconds for which the list of topics is believed."""
_SHOWN = 10.0
"""Seconds until a topic that was made must be shown."""
_CHECKED = 30.0
"""Seconds for which a topic that was set as it should be is believed to be so."""

_OWN = 1.0
"""Seconds to wait until our own commits can be read; somebody else's may stand before them."""


class KafkaLog:
    """A `Log` on a cluster. `folder` keeps the copies of tables."""

    def __init__(self, address: Address, folder: Path, transport: Transport) -> None:
        address.check()
        self._address = address
        self._quiet = Quiet()
        self._transport = transport
        self._admin = Admin(address)
        self._admin_lock = threading.RLock()
        self._known: tuple[float, dict[str, int]] = (-_KNOWN, {})
        self._create({POSITIONS: POSITION_PARTITIONS})
        self._readers = Readers(self._transport.reader)
        self._copies = Copies(folder / "kafka.db", self._admin.cluster(), self._readers)
        self._fences: dict[str, Fence] = {}
        self._making = threading.Lock()
        self._counts = Counts()
        self._checked: dict[str, float] = {}
        self._written: set[Place] = set()
        self._own = f"shuqiao.{uuid.uuid4().hex}"
        relay = self._made(f"{self._own}.relay")
        self._work = Work(self._transport, relay)
        self._following = Following(self._transport, POSITIONS, POSITION_PARTITIONS)

    # ---- topics

    def _all(self, fresh: bool = False) -> dict[str, int]:
        with self._admin_lock:
            at, found = self._known
            if fresh or time.monotonic() - at > _KNOWN:
                found = self._admin.topics()
                self._known = time.monotonic(), found
            return found

    def _create(self, topics: Mapping[str, int]) -> bool:
        """Make those that are missing, and wait until they are shown; whether any was."""
        with self._admin_lock:
            if topics.keys() <= self._all().keys():
                must_match(self._all(), topics)
                return False
            known = self._all(fresh=True)
            missing = {name: count for name, count in topics.items() if name not in known}
            if missing:
                self._admin.create(missing)
            until = time.monotonic() + _SHOWN
            while not topics.keys() <= known.keys():
                if time.monotonic() > until:
                    (first, *_) = sorted(topics.keys() - known.keys())
                    raise LogError(
                        "a topic was made and is not shown", where=first, mend="try again"
                    )
                known = self._all(fresh=True)
            must_match(known, topics)
            return bool(missing)

    def topics(self) -> Mapping[str, int]:
        """See `Log`."""
        found = self._all(fresh=True)
        return {name: count for name, count in found.items() if not name.startswith(TABLES)}

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """See `Log`."""
        if self._create(topics):
            self.commit(Batch())  # whoever had nothing to do without them looks again

    def there(self, topics: Iterable[str]) -> frozenset[str]:
        """See `Log`."""
        wanted = frozenset(topics)
        known = self._all()
        return wanted & (known if wanted <= known.keys() else self._all(fresh=True)).keys()

    def check(self, topic: str, partitions: int) -> None:
        """See `Log`."""
        must_match(self._all(), {topic: partitions})
        with self._admin_lock:
            if time.monotonic() - self._checked.get(topic, -_CHECKED) >= _CHECKED:
                self._admin.check(topic)
                self._checked[topic] = time.monotonic()

    def delete_topic(self, name: str) -> None:
        """See `Log`."""
        with self._admin_lock:
            self._admin.delete(name)
            self._all(fresh=True)
        with self._making:
            self._written = {place for place in self._written if place[0] != name}

    def wiped(self, within: float | None = None) -> bool:
        """See `Log`: the brokers remove a topic's files by themselves."""
        return True

    def compact(self, topic: str, partition: int, upto: int | None, tombstones_before: int) -> int:
        """See `Log`: the brokers compact by themselves."""
        return 0

    def end_quiet(self, ends: Mapping[Place, int]) -> None:
        """See `Log`."""
        if due := self._quiet.due(ends, time.monotonic()):
            self._quiet.ended(end_segments(self._address, due))

    def _must_be_there(self, topic: str, partition: int) -> None:
        for fresh in (False, True):
            if 0 <= partition < self._all(fresh).get(topic, 0):
                return
        raise UnknownTopic(f"there is no partition {partition} of topic {topic}")

    # ---- writing

    def commit(self, batch: Batch) -> None:
        """See `Log`."""
        places = {(run.topic, run.partition) for run in batch.all_runs()}
        for topic, partition in places:
            self._must_be_there(topic, partition)
        try:
            self._land(batch)
        except UnknownTopic:
            self._all(fresh=True)  # another machine has deleted it
            raise
        with self._making:
            self._written |= places

    def _land(self, batch: Batch) -> None:
        if batch.consumed:
            self._work.land(batch, lambda: self._runs(batch))
            return
        scope = scope_of(batch.positions) if batch.positions else ""
        fence = self._fence(scope)
        fence.land(batch, lambda: self._runs(batch))
        if scope == CONTROL:
            fence.forget()  # others of that name are many, and each seldom

    def owns(self, topic: str, partition: int) -> bool:
        """See `Log`."""
        return self._work.owns((topic, partition))

    def _fence(self, scope: str) -> Fence:
        with self._making:
            if scope not in self._fences:
                name = f"shuqiao.{scope}" if scope else self._own
                self._fences[scope] = self._made(name)
            return self._fences[scope]

    def _made(self, name: str) -> Fence:
        return Fence(lambda: self._transport.writer(name), self.position, self._counts)

    def _runs(self, batch: Batch) -> list[Run]:
        """Everything that a batch writes, as records."""
        found = batch.all_runs()
        for table, partition, values in batch.all_entries():
            topic = self._table(table, partition, make=True)
            found.append(Run(topic, partition, [*values], [*values.values()]))
        found += [_position(move.name, move.value) for move in batch.positions]
        # whoever waits follows the positions
        return found if batch.positions else [*found, _position(COMMITS, self._own.encode())]

    def _table(self, name: str, partition: int, make: bool = False) -> str:
        """The topic of a table; empty where nothing was written to it yet."""
        topic = name if name.startswith(TABLES) else f"table.{name}"
        if topic not in self._all() and topic not in self._all(fresh=True):
            if not make:
                return ""
            _, department, dataset = [*name.split(".", 3), "", ""][:3]
            count = self._all().get(f"{COLLECTED}{department}.{dataset}", _TABLE_PARTITIONS)
            self._create({topic: max(count, partition + 1)})
        return topic

    # ---- reading

    def read(self, topic: str, partition: int, offset: int, limit: int) -> Sequence[Stored]:
        """See `Log`."""
        self._must_be_there(topic, partition)
        with self._readers.one(topic, partition) as reader:
            self._await_own(reader, (topic, partition))
            return reader.read(topic, partition, offset, limit, times=True).records()

    def page(self, topic: str, partition: int, offset: int, limit: int) -> Page:
        """See `Log`."""
        self._must_be_there(topic, partition)
        with self._readers.one(topic, partition) as reader:
            self._await_own(reader, (topic, partition))
            found = reader.read(topic, partition, offset, limit, size=PAGE_BYTES)
        return Page(found.offsets, found.keys, found.values)

    def pages(self, ranges: Mapping[Place, tuple[int, int]]) -> Mapping[Place, Page]:
        """See `Log`."""
        with self._readers.asking() as reader:
            found = reader.ranges(ranges, PAGE_BYTES)
        return {place: _below(ranges[place][1], one) for place, one in found.items()}

    def _await_own(self, reader: Reader, place: Place) -> None:
        """A commit is acknowledged some milliseconds before it can be read: wait for our own."""
        if place not in self._written:
            return
        until = time.monotonic() + _OWN
        end = reader.high_end(*place)
        while reader.stable_end(*place) < end and time.monotonic() < until:
            time.sleep(0.001)
        with self._making:
            self._written.discard(place)

    def keys(
        self, topic: str, partition: int, offset: int, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """See `Log`."""
        found = self.page(topic, partition, offset, limit)
        return list(zip(found.offsets, found.keys, strict=True))

    def end(self, topic: str, partition: int) -> int:
        """See `Log`: behind it no transaction is over yet."""
        self._must_be_there(topic, partition)
        with self._readers.one(topic, partition) as reader:
            self._await_own(reader, (topic, partition))
            return reader.stable_end(topic, partition)

    def ends(self, places: Iterable[Place]) -> Mapping[Place, End]:
        """See `Log`."""
        wanted = list(places)
        fresh = any(topic not in self._all() for topic, _ in wanted)
        try:
            return self._ends(wanted, fresh)
        except UnknownTopic:  # another machine has deleted one
            return self._ends(wanted, fresh=True)

    def _ends(self, places: Sequence[Place], fresh: bool) -> Mapping[Place, End]:
        """Asked in this order, what is begun meanwhile counts as growing."""
        known = self._all(fresh)
        there = [place for place in places if place[1] < known.get(place[0], 0)]
        with self._readers.asking() as reader:
            stable = reader.ends(there, stable=True)
            high = reader.ends(there, stable=False)
        return {
            place: End(end, end < last)
            for place, end, last in zip(there, stable, high, strict=True)
        }

    def entries(self, table: str, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """See `Log`."""
        wanted = list(keys)
        topic = self._table(table, partition)
        return self._copies.entries(topic, partition, wanted) if topic and wanted else {}

    def scan(
        self, table: str, partition: int, after: bytes, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        """See `Log`."""
        topic = self._table(table, partition)
        return self._copies.scan(topic, partition, after, limit) if topic else []

    # ---- positions

    def position(self, name: str) -> bytes | None:
        """See `Log`."""
        key = name.encode()
        number = partition_of(key, POSITION_PARTITIONS)
        return self._copies.entries(POSITIONS, number, [key]).get(key)

    def positions(self, prefix: str) -> Mapping[str, bytes]:
        """See `Log`."""
        found = self._copies.starting(POSITIONS, POSITION_PARTITIONS, prefix.encode())
        return {key.decode(): value for key, value in found}

    def forget(self, prefix: str) -> None:
        """See `Log`."""
        if names := list(self.positions(prefix)):
            runs = [_position(name, None) for name in names]
            self._fence("").land(Batch(), lambda: runs)

    # ---- waiting

    def changes(self) -> int:
        """See `Log`."""
        return self._following.changes()

    def wait(self, seen: int, timeout: float) -> int:
        """See `Log`."""
        return self._following.wait(seen, timeout)

    # ---- itself

    def show(self, reached: Mapping[str, Mapping[tuple[str, int], int]]) -> None:
        """See `Log`: each name is a group, whose lag Kafka's own tools then tell."""
        with self._admin_lock:
            for name, places in reached.items():
                self._admin.show(name, places)

    def counts(self) -> Mapping[str, int]:
        """See `Log`."""
        return {**self._counts.all(), REBALANCED: self._work.turns()}

    def faults(self) -> list[str]:
        """See `Log`."""
        return []

    def confirm(self) -> None:
        """See `Log`."""

    def close(self) -> None:
        """See `Log`."""
        self._following.close()
        self._work.close()
        for fence in self._fences.values():
            fence.forget()
        self._readers.close()
        self._copies.close()
        self._admin.close()


def _below(end: int, found: Fetched) -> Page:
    below = bisect_left(found.offsets, end)
    return Page(found.offsets[:below], found.keys[:below], found.values[:below])


def _position(name: str, value: bytes | None) -> Run:
    key = name.encode()
    return Run(POSITIONS, partition_of(key, POSITION_PARTITIONS), [key], [value])
