"""Who owns a collected key, and which key a source's row had: what the runner remembers.

Law: written in the commit of the records that it speaks of. Nothing of a record stands
here but its time of change and keyed hashes.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from broker.log.interface import Batch, Entries, Log, TableWrite
from broker.log.topics import owners_table, partition_of, rows_table
from broker.model import Dataset

_ENTRY = struct.Struct(">qB16s")
_LIVE = struct.Struct(">qx16s")
"""The same of a key that is not deleted."""
_TIME = struct.Struct(">q")
_GONE = b"\0" * 16
VERSION = 8
_ROW = 16
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Owned:
    """Who owns a key: source, `updated_at` (ms), and the row's hash (None: deleted).

    `origin` is a keyed hash of the file that it came with, `row` one of the source's
    unchanging row id; empty where there is none.
    """

    source: str
    updated_at: int
    hash: bytes | None
    origin: bytes = b""
    row: bytes = b""

    def is_like(self, other: "Owned | None") -> bool:
        """Whether the key stands as the other says, whatever it came with."""
        mine = (self.source, self.updated_at, self.hash)
        return other is not None and mine == (other.source, other.updated_at, other.hash)

    def pack(self) -> bytes:
        """As stored."""
        gone = self.hash is None
        head = _ENTRY.pack(self.updated_at, gone, self.hash or _GONE) + self.source.encode()
        more = self.origin + self.row
        return head + b"\0" + more if more else head

    @classmethod
    def unpack(cls, stored: bytes) -> "Owned":
        """From its stored form."""
        updated_at, gone, row_hash = _ENTRY.unpack_from(stored)
        source, _, more = stored[_ENTRY.size :].partition(b"\0")
        origin = more[: len(more) % _ROW]
        return cls(
            source.decode(), updated_at, None if gone else row_hash, origin, more[len(origin) :]
        )


class Packed:
    """Owners as stored, of keys that one source owns, out of one file and without row ids."""

    def __init__(self, source: str, origin: bytes) -> None:
        self._source = source.encode()
        self._end = self._source + (b"\0" + origin if origin else b"")

    def live(self, times: Iterable[int], hashes: Iterable[bytes]) -> list[bytes]:
        """`Owned.pack` of each."""
        pack, end = _LIVE.pack, self._end
        return [pack(*one) + end for one in zip(times, hashes, strict=True)]

    def gives_way(self, before: bytes, now: bytes) -> bool:
        """Whether it is the same source's, of another row and not of a later one."""
        head = slice(_TIME.size, _ENTRY.size)
        source, _, _ = before[_ENTRY.size :].partition(b"\0")
        is_later = _TIME.unpack_from(before) > _TIME.unpack_from(now)
        return source == self._source and before[head] != now[head] and not is_later


def is_live(stored: bytes) -> bool:
    """Whether a stored owner's key is not deleted."""
    return stored[_TIME.size] == 0


@dataclass(frozen=True, slots=True)
class RowKey:
    """The key that a row had when it was last right, its `updated_at` (ms) when it was read
    last, and what it was then: a part of the hash of a record, of the mark of a wrong row;
    empty where two rows were it."""

    key: bytes
    updated_at: int
    version: bytes

    def pack(self) -> bytes:
        """As stored."""
        version = self.version[:VERSION]
        return _TIME.pack(self.updated_at) + bytes([len(version)]) + version + self.key

    @classmethod
    def unpack(cls, stored: bytes) -> "RowKey":
        """From its stored form."""
        (updated_at,) = _TIME.unpack_from(stored)
        begin = _TIME.size + 1
        end = begin + stored[_TIME.size]
        return cls(stored[end:], updated_at, stored[begin:end])

    def is_version(self, mark: bytes) -> bool:
        """Whether the row was, when it was read last, what has that hash or mark."""
        return self.version in (b"", mark[:VERSION])


class Ownership:
    """The owners of one dataset's keys, over the log's tables."""

    def __init__(self, dataset: Dataset, log: Log) -> None:
        self._partitions = dataset.partitions
        self._owners = owners_table(dataset.id)
        self._rows = rows_table(dataset.id)
        self._log = log

    def partition(self, key: bytes) -> int:
        """The partition of a key, or of a row's mark."""
        return partition_of(key, self._partitions)

    def of(self, keys: Iterable[bytes]) -> dict[bytes, Owned]:
        """The owners of those keys that have, or had, one."""
        found = self._entries(self._owners, keys)
        return {key: Owned.unpack(stored) for key, stored in found.items()}

    def stored(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The same of keys of one partition, as stored."""
        return self._log.entries(self._owners, partition, keys)

    def all_of(self, source: str) -> Iterator[tuple[bytes, Owned]]:
        """Every key that a source owns and that is not deleted."""
        for partition in range(self._partitions):
            after = b""
            while page := self._log.scan(self._owners, partition, after, _PAGE):
                after = page[-1][0]
                for key, stored in page:
                    owned = Owned.unpack(stored)
                    if owned.source == source and owned.hash is not None:
                        yield key, owned

    def write(self, key: bytes, owned: Owned) -> TableWrite:
        """What sets a key's owner."""
        return TableWrite(self._owners, self.partition(key), key, owned.pack())

    def entries(self, partition: int, packed: Mapping[bytes, bytes]) -> Entries:
        """What sets the owners of keys of one partition."""
        return Entries(self._owners, partition, packed)

    def written(self, batch: Batch, keys: Set[bytes]) -> dict[bytes, Owned]:
        """The owners that a batch sets, of those keys."""
        found = _written(batch, self._owners, keys)
        return {key: Owned.unpack(stored) for key, stored in found.items()}

    def written_rows(self, batch: Batch, rows: Set[bytes]) -> dict[bytes, RowKey]:
        """The keys that a batch notes of those rows."""
        found = _written(batch, self._rows, rows)
        return {row: RowKey.unpack(stored) for row, stored in found.items()}

    def rows_of(self, rows: Iterable[bytes]) -> dict[bytes, RowKey]:
        """The key that each row had last, by the row's mark."""
        found = self._entries(self._rows, rows)
        return {row: RowKey.unpack(stored) for row, stored in found.items()}

    def last_keys(self, rows: Iterable[bytes]) -> set[bytes]:
        """The keys that rows had when they were last right."""
        return {last.key for last in self.rows_of(rows).values() if last.key}

    def write_row(self, row: bytes, key: RowKey | None) -> TableWrite:
        """What notes a row's key; None forgets the row."""
        return TableWrite(self._rows, self.partition(row), row, key.pack() if key else None)

    def _entries(self, table: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        by_partition: dict[int, list[bytes]] = defaultdict(list)
        for key in keys:
            by_partition[self.partition(key)].append(key)
        return {
            key: stored
            for partition, some in by_partition.items()
            for key, stored in self._log.entries(table, partition, some).items()
        }


def _written(batch: Batch, table: str, keys: Set[bytes]) -> dict[bytes, bytes]:
    """The entries of a table that a batch sets, of those keys."""
    found = {one.key: one.value for one in batch.tables if one.table == table and one.key in keys}
    for many in batch.entries:
        if many.table == table:
            found |= {key: many.values[key] for key in keys & many.values.keys()}
    return {key: value for key, value in found.items() if value is not None}
