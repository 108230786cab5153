"""The log: topics of keyed records in partitions, tables, and positions. Bytes only.

Law: one `commit` lands whole or not at all: records, table entries and positions
together. What `commit` returned from is durable. Offsets in a partition only grow.
A batch that fails leaves no trace. There is only the batch form.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Place = tuple[str, int]
"""Topic and partition."""


class Append(NamedTuple):
    """A record to append. `value` None is a tombstone."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None


class Run(NamedTuple):
    """Records to append to one partition, in order, column by column. A value None is a
    tombstone."""

    topic: str
    partition: int
    keys: Sequence[bytes]
    values: Sequence[bytes | None]


class Page(NamedTuple):
    """Records as read, in order, column by column."""

    offsets: Sequence[int]
    keys: Sequence[bytes]
    values: Sequence[bytes | None]


class Stored(NamedTuple):
    """A record as read; `timestamp` is the commit's, in milliseconds since 1970 UTC."""

    offset: int
    key: bytes
    value: bytes | None
    timestamp: int


class TableWrite(NamedTuple):
    """An entry of a table (a compacted internal topic); `value` None removes it."""

    table: str
    partition: int
    key: bytes
    value: bytes | None


class Entries(NamedTuple):
    """Entries of one partition of a table; a value None removes its entry."""

    table: str
    partition: int
    values: Mapping[bytes, bytes | None]


class PositionWrite(NamedTuple):
    """Move position `name` from `expected` (None: not there yet) to `value` (None: away)."""

    name: str
    expected: bytes | None
    value: bytes | None


class End(NamedTuple):
    """Where a partition ends: the offset up to which it can be read, and whether somebody is
    writing behind it, so that it may grow without a further word."""

    offset: int
    growing: bool


PAGE_BYTES = 32_000_000
"""Bytes of values after which a page ends."""

LARGEST = 14_000_000
"""Bytes that the value of a record has at most, with every engine."""

DAMAGED = "pages are damaged: restore it from a backup"
"""The fault of a log whose pages are not what was written."""


@dataclass(slots=True)
class Batch:
    """What one commit writes. Many records of one partition are a run, many entries of a table
    one mapping: there is no object for each. Runs come after the single records, and of an entry
    that is written twice the mapping's stands."""

    appends: list[Append] = field(default_factory=list)
    tables: list[TableWrite] = field(default_factory=list)
    positions: list[PositionWrite] = field(default_factory=list)
    consumed: dict[tuple[str, int], int] = field(default_factory=dict)
    """What the batch was made of: by topic and partition, the offset up to which it is taken.
    It lands only where that partition is ours: see `Log.owns`."""

    runs: list[Run] = field(default_factory=list)
    entries: list[Entries] = field(default_factory=list)

    def add(self, other: "Batch") -> None:
        """Write this as well."""
        self.appends += other.appends
        self.tables += other.tables
        self.runs += other.runs
        self.entries += other.entries
        self.positions += other.positions
        self.consumed |= other.consumed

    def writes(self) -> bool:
        """Whether there is anything to write but positions."""
        return bool(self.appends or self.runs or self.tables or self.entries)

    def records(self) -> int:
        """How many records are appended."""
        return len(self.appends) + sum(len(run.keys) for run in self.runs)

    def all_runs(self) -> list[Run]:
        """Every record to append, single ones as well."""
        single: dict[tuple[str, int], tuple[list[bytes], list[bytes | None]]] = {}
        for one in self.appends:
            keys, values = single.setdefault((one.topic, one.partition), ([], []))
            keys.append(one.key)
            values.append(one.value)
        return [*(Run(*place, *found) for place, found in single.items()), *self.runs]

    def all_entries(self) -> list[Entries]:
        """Every entry of a table, each once."""
        found: dict[tuple[str, int], dict[bytes, bytes | None]] = {}
        for one in self.tables:
            found.setdefault((one.table, one.partition), {})[one.key] = one.value
        for some in self.entries:
            found.setdefault((some.table, some.partition), {}).update(some.values)
        return [Entries(*place, values) for place, values in found.items()]


class Log(Protocol):
    """See the module's law. Every method may raise `LogError`."""

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """Make topics, by name with their partition counts; the same again is nothing;
        another partition count is refused."""

    def delete_topic(self, name: str) -> None:
        """Remove a topic: from here on it is unknown to all. A missing one is nothing.

        Its records are removed with it, or by the next call of `wiped`.
        """

    def wiped(self, within: float | None = None) -> bool:
        """Whether nothing of deleted topics is left on the medium; goes on wiping first.

        False where somebody still reads an older state, or where that would take longer than
        `within` seconds: ask again.
        """

    def compact(self, topic: str, partition: int, upto: int | None, tombstones_before: int) -> int:
        """Keep of every key only the last version below the offset `upto` (None: the end), and
        no tombstone written before that time (ms since 1970 UTC); how many records went.

        An engine that compacts by itself does nothing here.
        """

    def end_quiet(self, ends: Mapping[tuple[str, int], int]) -> None:
        """Let what was superseded go also where nobody writes any more: given, now and then, where
        all partitions end. An engine that is told to `compact` does nothing here."""

    def topics(self) -> Mapping[str, int]:
        """Partition count by topic."""

    def there(self, topics: Iterable[str]) -> frozenset[str]:
        """Those of the topics that are there, cheap enough for every step. One that another machine
        has deleted within this second may still count as there: a commit to it is refused."""

    def check(self, topic: str, partitions: int) -> None:
        """`LogError` where somebody gave the topic other partitions, or set it so that records
        would go; cheap enough for every step."""

    def commit(self, batch: Batch) -> None:
        """Land the batch, or nothing: `PositionMoved` where a position is not as expected."""

    def owns(self, topic: str, partition: int) -> bool:
        """Whether it is for this process to consume that partition. Of an engine that several
        machines share, each has some; elsewhere everything is everybody's."""

    def read(self, topic: str, partition: int, offset: int, limit: int) -> Sequence[Stored]:
        """At most `limit` records with offset ≥ `offset`, in order; empty at the end."""

    def page(self, topic: str, partition: int, offset: int, limit: int) -> Page:
        """As `read`, without an object for each record; it ends before `limit` where there would
        be more than about `PAGE_BYTES`, never before the first record."""

    def pages(self, ranges: Mapping[Place, tuple[int, int]]) -> Mapping[Place, Page]:
        """Every record of these ranges of offsets, each up to an end that was told, where that is
        quicker together than one `page` after the other; of whatever else `page` is to be asked."""

    def keys(
        self, topic: str, partition: int, offset: int, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """As `read`, but offset and key alone: no value is fetched."""

    def end(self, topic: str, partition: int) -> int:
        """The offset the next record will get."""

    def ends(self, places: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], End]:
        """The ends of many partitions, asked together; those of missing topics are left out."""

    def position(self, name: str) -> bytes | None:
        """The committed value of a position."""

    def positions(self, prefix: str) -> Mapping[str, bytes]:
        """All positions whose name starts with `prefix`."""

    def forget(self, prefix: str) -> None:
        """Remove all positions whose name starts with `prefix`."""

    def changes(self) -> int:
        """A number that grows when somebody commits or makes topics, in this process or another."""

    def wait(self, seen: int, timeout: float) -> int:
        """Return when `changes` is no longer `seen`, or after `timeout` seconds."""

    def entries(self, table: str, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The table's values for those keys that have one."""

    def scan(
        self, table: str, partition: int, after: bytes, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        """Entries with key > `after`, in key order, at most `limit`."""

    def show(self, reached: Mapping[str, Mapping[tuple[str, int], int]]) -> None:
        """Show, to the engine's own tools, up to which offset of which partitions each of these
        names has come; a name with none is shown no more. For display alone."""

    def counts(self) -> Mapping[str, int]:
        """How often, since it was opened, transactions were committed, aborted or fenced, and
        partitions given out anew."""

    def faults(self) -> list[str]:
        """What is wrong with the log's own storage, in words; may take long."""

    def confirm(self) -> None:
        """`Replaced` where this is no longer what stands in the log's place; cheap."""

    def close(self) -> None:
        """Give back files; safe to call twice."""
