"""From one log to another: what was collected, and where the sources stand.

Law: what is copied is copied as it stands, sealed, in order, to the same partition; how far is
committed with what was copied, so a migration that was broken off goes on where it was, also where
the source went on meanwhile. Nothing counts as migrated that was not read back and found equal;
once it does, nothing is written to the target any more. Shares are not copied: their offsets
would mean something else, so each grant gets a new one. What the relay set aside arises anew.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from broker.errors import LogError, SettingsError
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, Log, PositionWrite, Stored, TableWrite
from broker.log.topics import (
    COLLECTED,
    COMMITS,
    OURS,
    QUARANTINE,
    SHARE_POSITIONS,
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
"""The position that is there, in the target, once everything was found equal. It says up to which
offset of each partition the target is what was carried over."""

_CARRIED = (COLLECTED, QUARANTINE)
NOT_CARRIED = ("relay.", "pass.", SHARE_POSITIONS, COMMITS, _MARKS)
"""What the names of positions start with that stay: of the relay, which begins anew, of an engine
for itself, and the migration's own."""

TABLES = (owners_table, rejected_table, rows_table, sources_table)
"""The tables that are carried over; the relay's memberships arise anew."""

_PAGE = 5_000
_BYTES = 8_000_000
"""Bytes that are copied in one commit, at least a record."""
RELAY = "relay"
"""The source that the relay's quarantine entries name."""

Advance = Callable[[int], None]
_Versions = dict[bytes, tuple[int, bytes | None]]
"""Offset and hash of every key's last version; no hash where it was deleted."""


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
        self._advance: Advance = lambda offsets: None

    def watched(self, advance: Advance) -> None:
        """From here on `advance` hears how many offsets of `total` were passed."""
        self._advance = advance

    @property
    def begun(self) -> bool:
        """Whether both are parts of one migration."""
        mine = self._source.position(ORIGIN)
        return mine is not None and mine == self._target.position(ORIGIN)

    @property
    def done(self) -> bool:
        """Whether it was finished before."""
        return self.begun and self._carried() is not None

    def total(self) -> int:
        """How many offsets there are to pass, of the source."""
        return sum(self._source.end(*place) for place in self._places())

    def begin(self) -> None:
        """Mark both as parts of one migration; `LogError` where the target is in use already."""
        mine = self._source.position(ORIGIN)
        if mine is None:
            mine = secrets.token_hex(16).encode()
            self._source.commit(Batch(positions=[PositionWrite(ORIGIN, None, mine)]))
        theirs = self._target.position(ORIGIN)
        if theirs == mine:
            return
        if theirs is not None or any(name.startswith(OURS) for name in self._target.topics()):
            raise LogError(
                "the cluster holds what was collected or shared already, of another origin",
                where="setting kafka_servers",
                mend="name a cluster that has nothing of ShuQiao; nothing was copied",
            )
        self._target.commit(Batch(positions=[PositionWrite(ORIGIN, None, mine)]))

    def copy(self) -> None:
        """Copy what is not there yet."""
        self._target.create_topics(self._topics())
        for topic, partition in self._places():
            self._copy_records(topic, partition)
        for table, partition in self._tables():
            self._copy_table(table, partition)
        if moves := self._moves():
            self._target.commit(Batch(positions=moves))

    def compare(self) -> Iterator[Compared]:
        """Read both logs whole: of every key the last version must be the same.

        Once it is done the target goes on: then what was collected is compared alone, and a later
        version is right as well. (A key that was deleted there longer than 30 days ago has none.)
        """
        carried, there = self._carried(), self._target.topics()
        for topic, count in self._topics().items():
            entries, equal = 0, there.get(topic) == count
            upto = carried.get(topic) if carried else None
            for partition in range(count):
                mine = self._versions(self._source, topic, partition, self._advance)
                entries += sum(found is not None for _, found in mine.values())
                if equal:
                    theirs = self._versions(self._target, topic, partition, lambda offsets: None)
                    equal = _same(mine, theirs, upto[partition] if upto else None)
            yield Compared(topic, entries, equal)
        if carried is None:
            yield from self._compare_standing()

    def finish(self) -> None:
        """Take out what the relay set aside, which arises anew; from here on it is done."""
        sealer, batch = self._sealer(), Batch()
        ends = {
            topic: [self._target.end(topic, number) for number in range(count)]
            for topic, count in self._topics().items()
        }
        for dataset in self._datasets:
            quarantine = Quarantine(dataset, sealer)
            for _, stored, entry in quarantine.waiting(self._target):
                if entry.source == RELAY:
                    quarantine.take_out(stored.key, entry, batch)
        batch.positions.append(PositionWrite(DONE, None, json.dumps(ends).encode()))
        self._target.commit(batch)

    # ---- parts

    def _carried(self) -> dict[str, list[int]] | None:
        """Up to where each topic of the target is what was carried over; None until it is done."""
        done = self._target.position(DONE)
        found: dict[str, list[int]] | None = json.loads(done) if done else None
        return found

    def _topics(self) -> dict[str, int]:
        found = self._source.topics()
        return {name: found[name] for name in sorted(found) if name.startswith(_CARRIED)}

    def _places(self) -> list[tuple[str, int]]:
        topics = self._topics()
        return [(name, number) for name, count in topics.items() for number in range(count)]

    def _tables(self) -> list[tuple[str, int]]:
        """Of every dataset that was ever collected, whether or not the catalogue still has it."""
        return [
            (table(topic.removeprefix(COLLECTED)), partition)
            for topic, partition in self._places()
            if topic.startswith(COLLECTED)
            for table in TABLES
        ]

    def _copy_records(self, topic: str, partition: int) -> None:
        name = f"{_MARKS}{topic}.{partition}"
        before = self._target.position(name)
        offset = int(before or b"0")
        self._advance(offset)
        while page := self._source.read(topic, partition, offset, _PAGE):
            for part in _parts(page):
                self._advance(part[-1].offset + 1 - offset)
                offset = part[-1].offset + 1
                after = str(offset).encode()
                appends = [Append(topic, partition, one.key, one.value) for one in part]
                moves = [PositionWrite(name, before, after)]
                self._target.commit(Batch(appends=appends, positions=moves))
                before = after

    def _copy_table(self, table: str, partition: int) -> None:
        writes: list[TableWrite] = []
        for one in self._differing(table, partition):
            writes.append(one)
            if len(writes) == _PAGE:
                self._target.commit(Batch(tables=writes))
                writes = []
        if writes:
            self._target.commit(Batch(tables=writes))

    def _differing(self, table: str, partition: int) -> Iterator[TableWrite]:
        """What makes the target's table the source's."""
        here, there = (_scanned(log, table, partition) for log in (self._source, self._target))
        mine, theirs = next(here, None), next(there, None)
        while mine or theirs:
            if mine is None or (theirs and theirs[0] < mine[0]):
                assert theirs
                yield TableWrite(table, partition, theirs[0], None)
                theirs = next(there, None)
                continue
            if mine != theirs:
                yield TableWrite(table, partition, *mine)
            if theirs and theirs[0] == mine[0]:
                theirs = next(there, None)
            mine = next(here, None)

    def _moves(self) -> list[PositionWrite]:
        """What makes the target's positions the source's."""
        mine, theirs = _positions(self._source), _positions(self._target)
        return [
            PositionWrite(name, theirs.get(name), mine.get(name))
            for name in sorted({*mine, *theirs})
            if mine.get(name) != theirs.get(name)
        ]

    def _compare_standing(self) -> Iterator[Compared]:
        for table, partition in self._tables():
            entries = sum(1 for _ in _scanned(self._source, table, partition))
            equal = next(self._differing(table, partition), None) is None
            if entries or not equal:
                yield Compared(f"{table}/{partition}", entries, equal)
        yield Compared("positions", len(_positions(self._source)), not self._moves())

    @staticmethod
    def _versions(log: Log, topic: str, partition: int, advance: Advance) -> _Versions:
        found: _Versions = {}
        offset = 0
        while page := log.read(topic, partition, offset, _PAGE):
            for one in page:
                value = None if one.value is None else hashlib.sha256(one.value).digest()
                found[one.key] = one.offset, value
            advance(page[-1].offset + 1 - offset)
            offset = page[-1].offset + 1
        return found


def must_be_carried_over(target: Log, path: Path) -> None:
    """`SettingsError` where work on the target would begin without what belongs there: a migration
    to it is not finished, or the log in the file `path`, if there is one, was not carried over."""
    origin = target.position(ORIGIN)
    if origin is not None and target.position(DONE) is None:
        raise SettingsError(
            "a migration to this cluster has begun and is not finished",
            where="setting kafka_servers",
            mend="`shuqiao migrate embedded-to-kafka` once more, where it was begun",
        )
    if not path.exists():
        return
    with closing(EmbeddedLog(path)) as own:
        used = any(
            own.end(topic, number)
            for topic, count in own.topics().items()
            if topic.startswith(_CARRIED)
            for number in range(count)
        )
        if used and (origin is None or own.position(ORIGIN) != origin):
            raise SettingsError(
                "this folder has a log of its own, which was not carried over to the cluster",
                where=str(path),
                mend="`shuqiao migrate embedded-to-kafka`; or move it away, to begin without it",
            )


def _same(mine: _Versions, theirs: _Versions, upto: int | None) -> bool:
    """Whether every key's last version is the same; behind the offset `upto` any is right."""
    for key, (_, found) in mine.items():
        offset, other = theirs.get(key, (-1, None))
        if other != found and (upto is None or offset < upto):
            return False
    return upto is not None or all(
        found is None or key in mine for key, (_, found) in theirs.items()
    )


def _parts(page: Sequence[Stored]) -> Iterator[list[Stored]]:
    """The page in parts of not too many bytes."""
    part: list[Stored] = []
    size = 0
    for one in page:
        size += len(one.value or b"")
        if part and size > _BYTES:
            yield part
            part, size = [], len(one.value or b"")
        part.append(one)
    yield part


def _positions(log: Log) -> Mapping[str, bytes]:
    found = log.positions("")
    return {name: one for name, one in found.items() if not name.startswith(NOT_CARRIED)}


def _scanned(log: Log, table: str, partition: int) -> Iterator[tuple[bytes, bytes]]:
    after = b""
    while page := log.scan(table, partition, after, _PAGE):
        yield from page
        after = page[-1][0]
