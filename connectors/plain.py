"""Rows → records, column by column, of all the rows of a batch that can be read so.

Law: what is read here is what `Converter` and `Codec` make of the row; every other row is left
to them. A row has no object of its own here, only its place in each column.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from broker.model import Dataset, Schema
from broker.pseudonym import KeyedHash
from connectors.columns import Column, alone, compiled
from connectors.convert import Converter
from connectors.moments import Moments
from connectors.source import Row

CHANGED = "updated_at"
"""The item that says when a row was changed."""
_KNOWN = 1 << 14
"""Parts of keys that are remembered."""
_ONE_BYTE = 1 << 6
"""A text shorter than this has its length in one byte."""

Told = Callable[[Sequence[bytes]], list[bytes]]


@dataclass(slots=True)
class Read:
    """Rows that were read, column by column: the number of each in its batch, its key,
    `updated_at` in ms, its record's bytes and their hash. And the numbers of all others."""

    numbers: Sequence[int] = ()
    keys: Sequence[bytes] = ()
    times: Sequence[int] = ()
    bodies: Sequence[bytes] = ()
    hashes: Sequence[bytes] = ()
    others: Sequence[int] = field(default_factory=list)


class Plain:
    """Compiled once for a mapping. `record` and `row` are the keys of record keys and of row
    hashes; `until` is before the latest `updated_at` that is believed, in ms."""

    def __init__(
        self, dataset: Dataset, converter: Converter, record: bytes, row: bytes, until: int
    ) -> None:
        fields = dataset.schema["fields"]
        by_item = {cell.item.name: cell for cell in converter.cells}
        cells = {name: by_item[name] for name in (one["name"] for one in fields)}
        places = list(cells)
        self._changed = places.index(CHANGED)
        self._columns: list[Column] = []
        for one in fields:
            if one["name"] == CHANGED:
                self._moments = Moments(cells[CHANGED], converter, one)
            else:
                self._columns.append(compiled(cells[one["name"]], converter, one))
        self._key = [
            (places.index(name), _told(fields[places.index(name)])) for name in dataset.primary_key
        ]
        self._record_key, self._row_hash = KeyedHash(record), KeyedHash(row)
        self._until = until

    def read(self, rows: Sequence[Row]) -> Read:
        """The rows of a batch that are plain."""
        numbers = [
            number
            for number, row in enumerate(rows)
            if not (row.fault or row.deleted or row.origin)
        ]
        if not numbers:
            return Read(others=range(len(rows)))
        some = rows if len(numbers) == len(rows) else [rows[number] for number in numbers]
        cells = [row.cells for row in some]
        moments, times = self._moments.read([one[self._moments.name] for one in cells])
        written = [column.written([one[column.name] for one in cells]) for column in self._columns]
        written.insert(self._changed, moments)
        wrong = {at for at, time in enumerate(times) if time >= self._until}
        for column in written:
            if None in column:
                wrong |= {at for at, one in enumerate(column) if one is None}
        all_columns: list[list[Any]] = [numbers, times, *written]
        for at in sorted(wrong, reverse=True):
            for each in all_columns:
                del each[at]
        found: Any = written  # of bytes: None is in no column any more
        bodies = list(map(b"".join, zip(*found, strict=True)))
        others = {*range(len(rows))} if len(numbers) < len(rows) else set[int]()
        return Read(
            numbers,
            self._record_key.all(self._keys(found)),
            times,
            bodies,
            self._row_hash.all(bodies),
            sorted(others.difference(numbers)),
        )

    def _keys(self, written: Sequence[Sequence[bytes]]) -> list[bytes]:
        """The primary key of each row, as JSON."""
        parts = [told(written[place]) for place, told in self._key]
        if len(parts) == 1:
            return [b"[" + part + b"]" for part in parts[0]]
        return [b"[" + b", ".join(some) + b"]" for some in zip(*parts, strict=True)]


def _told(of: Schema) -> Told:
    """What tells an item in JSON, of its Avro bytes."""
    told = _Parts(of)
    if of["type"] != "string":
        return lambda written: list(map(told.__getitem__, written))

    def texts(written: Sequence[bytes]) -> list[bytes]:
        return [
            b'"' + one[1:] + b'"' if len(one) <= _ONE_BYTE and one[1:].isalnum() else told[one]
            for one in written
        ]

    return texts


class _Parts(dict[bytes, bytes]):
    def __init__(self, of: Schema) -> None:
        self._codec, self._name = alone(of), of["name"]

    def __missing__(self, written: bytes) -> bytes:
        value = self._codec.decode(written)[self._name]
        told = json.dumps(key_part(value), ensure_ascii=False).encode("utf-8")
        if len(self) >= _KNOWN:
            self.clear()
        self[written] = told
        return told


def key_part(value: Any) -> Any:
    """A value as it stands in a key."""
    return value.isoformat() if isinstance(value, date) else value
