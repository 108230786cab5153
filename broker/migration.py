"""From one log to another: what was collected, and where the sources stand.

Law: what is copied is copied as it stands, sealed, in order, to the same partition; how far is
committed with what was copied, so a migration that was broken off goes on where it was. Nothing
counts as migrated that was not read back and found equal. Shares are not copied: their offsets
would mean something else, so each grant gets a new one. What the relay set aside arises anew.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from broker.errors import LogError
from broker.log.interface import Append, Batch, Log, PositionWrite, TableWrite
from broker.log.topics import (
    SHARE_POSITIONS,
    SHARED,
    owners_table,
    rejected_table,
    rows_table,
    sources_table,
)
from broker.model import Dataset
from broker.quarantine import Quarantine
from broker.seal import Sealer

_MARKS = "migrate."
ORIGIN = f"{_MARKS}origin"
"""The position that names, in both logs, the migration that they are part of."""

DONE = f"{_MARKS}done"
"""The position that is there, in the target, once everything was found equal."""

_NOT_CARRIED = ("relay.", "pass.", SHARE_POSITIONS, _MARKS)
"""Positions of the relay, which begins anew, and the migration's own."""

_TABLES = (owners_table, rejected_table, rows_table, sources_table)
_PAGE = 5_000
RELAY = "relay"
"""The source that the relay's quarantine entries name."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """A topic or table in both logs: entries at the source, and whether the target has the same."""

    name: str
    entries: int
    equal: bool


class Migration:
    """From `source` to `target`."""

    def __init__(
        self,
        source: Log,
        target: Log,
        datasets: Sequence[Dataset],
        sealer: Callable[[], Sealer],
    ) -> None:
        self._source = source
        self._target = target
        self._datasets = datasets
        self._sealer = sealer
        self._advance: Advance = lambda copied: None

    def watched(self, advance: Advance) -> None:
        """From here on `advance` hears how many records were copied."""
        self._advance = advance

    @property
    def done(self) -> bool:
        """Whether it was finished before."""
        return self._target.position(DONE) is not None

    def topics(self) -> dict[str, int]:
        """The topics that are carried over, with their partitions."""
        found = self._source.topics()
        return {name: number for name, number in sorted(found.items()) if self._is_carried(name)}

    def total(self) -> int:
        """How many records there are to copy, at most."""
        return sum(
            self._source.end(topic, number)
            for topic, count in self.topics().items()
            for number in range(count)
        )

    def begin(self) -> None:
        """Mark both as parts of one migration; `LogError` where the target is in use already."""
        mine = self._source.position(ORIGIN)
        if mine is None:
            mine = secrets.token_hex(16).encode()
            self._source.commit(Batch(positions=[PositionWrite(ORIGIN, None, mine)]))
        theirs = self._target.position(ORIGIN)
        if theirs == mine:
            return
        if theirs is not None or any(map(self._is_carried, self._target.topics())):
            raise LogError(
                "the cluster holds collected records of another origin",
                where="setting kafka_servers",
                mend="name an empty cluster; nothing was copied",
            )
        self._target.commit(Batch(positions=[PositionWrite(ORIGIN, None, mine)]))

    def copy(self) -> None:
        """Copy what is not there yet."""
        topics = self.topics()
        self._target.create_topics(topics)
        for topic, count in topics.items():
            for partition in range(count):
                self._copy_topic(topic, partition)
        for table, partition in self._tables():
            self._copy_table(table, partition)
        self._copy_positions()

    def compare(self) -> Iterator[Compared]:
        """Read both logs whole, topic by topic and table by table."""
        there = self._target.topics()
        for topic, count in self.topics().items():
            entries, equal = 0, there.get(topic) == count
            for partition in range(count) if equal else ():
                number, mine = self._digest(self._source, topic, partition)
                entries += number
                equal = equal and (number, mine) == self._digest(self._target, topic, partition)
            yield Compared(topic, entries, equal)
        for table, partition in self._tables():
            here, there_too = (self._entries(log, table, partition) for log in self._both)
            if here or there_too:
                yield Compared(f"{table}/{partition}", len(here), here == there_too)
        positions = [self._positions(log) for log in self._both]
        missing = positions[0].items() - positions[1].items()
        yield Compared("positions", len(positions[0]), not missing)

    def finish(self) -> None:
        """Take out what the relay set aside, which arises anew; from here on it is done."""
        sealer, batch = self._sealer(), Batch()
        for dataset in self._datasets:
            quarantine = Quarantine(dataset, sealer)
            for _, stored, entry in quarantine.waiting(self._target):
                if entry.source == RELAY:
                    quarantine.take_out(stored.key, entry, batch)
        if not self.done:
            batch.positions.append(PositionWrite(DONE, None, b"done"))
            self._target.commit(batch)

    # ---- parts

    @property
    def _both(self) -> tuple[Log, Log]:
        return self._source, self._target

    @staticmethod
    def _is_carried(topic: str) -> bool:
        return not topic.startswith(SHARED)

    def _tables(self) -> list[tuple[str, int]]:
        return [
            (table(one.id), partition)
            for one in self._datasets
            for table in _TABLES
            for partition in range(one.partitions)
        ]

    def _copy_topic(self, topic: str, partition: int) -> None:
        name = f"{_MARKS}{topic}.{partition}"
        before = self._target.position(name)
        offset = int(before or b"0")
        while page := self._source.read(topic, partition, offset, _PAGE):
            offset = page[-1].offset + 1
            after = str(offset).encode()
            appends = [Append(topic, partition, one.key, one.value) for one in page]
            moves = [PositionWrite(name, before, after)]
            self._target.commit(Batch(appends=appends, positions=moves))
            before = after
            self._advance(len(page))

    def _copy_table(self, table: str, partition: int) -> None:
        name = f"{_MARKS}{table}.{partition}"
        before = self._target.position(name)
        after = bytes.fromhex(before.decode()) if before else b""
        while page := self._source.scan(table, partition, after, _PAGE):
            after = page[-1][0]
            writes = [TableWrite(table, partition, key, value) for key, value in page]
            fresh = after.hex().encode()
            moves = [PositionWrite(name, before, fresh)]
            self._target.commit(Batch(tables=writes, positions=moves))
            before = fresh

    def _copy_positions(self) -> None:
        there = self._positions(self._target)
        moves = [
            PositionWrite(name, there.get(name), value)
            for name, value in self._positions(self._source).items()
            if there.get(name) != value
        ]
        if moves:
            self._target.commit(Batch(positions=moves))

    def _positions(self, log: Log) -> dict[str, bytes]:
        found = log.positions("")
        return {name: one for name, one in found.items() if not name.startswith(_NOT_CARRIED)}

    @staticmethod
    def _digest(log: Log, topic: str, partition: int) -> tuple[int, str]:
        """How many records there are, and a hash over all of them in their order."""
        number, offset, found = 0, 0, hashlib.sha256()
        while page := log.read(topic, partition, offset, _PAGE):
            for one in page:
                value = b"-" if one.value is None else b"+" + one.value
                for part in (one.key, value):
                    found.update(len(part).to_bytes(8, "big") + part)
            number, offset = number + len(page), page[-1].offset + 1
        return number, found.hexdigest()

    @staticmethod
    def _entries(log: Log, table: str, partition: int) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        after = b""
        while page := log.scan(table, partition, after, _PAGE):
            found.update(page)
            after = page[-1][0]
        return found
