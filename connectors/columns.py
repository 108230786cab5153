"""A column of cells → a column of Avro bytes: what is plain at once, the rest cell by cell.

Law: what is written of a cell is what `Converter` and `Codec` make of it. Of a cell that they
refuse nothing is written (None), so that its row is read by them. Nothing is kept of a wrong cell.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from broker.errors import ProjectionError
from broker.model import Item, Kind, Level, Schema
from broker.projection.avro import Codec
from broker.projection.written import LONGEST, lengths, number
from connectors.citizen_ids import LENGTH, doubtful
from connectors.convert import Cell, Converter
from connectors.misplaced import holds_identifier
from connectors.source import MAX_VALUE, Fault

Cells = Sequence[Any]
Written = list[bytes | None]
One = Callable[[Any], bytes | None]

TEXTS = frozenset({str, type(None)})
_KNOWN = 1 << 16
"""Cells of a column that are remembered, each of at most so many characters:"""
_SHORT = 32
_FEW = frozenset({Kind.CODE, Kind.DIVISION_CODE})
_NULL, _THERE = b"\x00", b"\x02"
"""How an item begins that may be null."""
_DAYS = {
    "%Y%m%d": re.compile("([0-9]{4})([0-9]{2})([0-9]{2})"),
    "%Y-%m-%d": re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})"),
    "%Y/%m/%d": re.compile("([0-9]{4})/([0-9]{2})/([0-9]{2})"),
}
"""Ways of writing a date; too short to hold an ID or mobile number."""
_1970 = date(1970, 1, 1).toordinal()


class Column:
    """Any column, cell by cell."""

    def __init__(self, name: str, one: One) -> None:
        self.name = name
        self._one = one

    def written(self, cells: Cells) -> Written:
        """The bytes of each cell's item."""
        return [self._one(cell) for cell in cells]


class _Remembered(dict[str | None, bytes | None]):
    def __init__(self, one: One) -> None:
        self._one = one

    def __missing__(self, cell: str | None) -> bytes | None:
        found = self._one(cell)
        if found is not None and len(cell or "") <= _SHORT:
            if len(self) >= _KNOWN:
                self.clear()
            self[cell] = found
        return found


class Few(Column):
    """A column of few different texts: each is read once."""

    def __init__(self, name: str, one: One) -> None:
        super().__init__(name, one)
        self._known = _Remembered(one)

    def written(self, cells: Cells) -> Written:
        """See `Column`. Only texts are looked up: of other types, unlike ones are equal."""
        if TEXTS.issuperset(map(type, cells)):
            return list(map(self._known.__getitem__, cells))
        return super().written(cells)


class Text(Column):
    """A column of texts that are taken as they are."""

    def __init__(self, name: str, one: One, item: Item) -> None:
        super().__init__(name, one)
        self._is_low = item.level < Level.L3
        self._before = lengths(b"" if item.required else _THERE)
        self._empty = None if item.required else _NULL

    def written(self, cells: Cells) -> Written:
        """See `Column`. Where something is not plain, halves are tried: few rows are so."""
        if not TEXTS.issuperset(map(type, cells)):
            return super().written(cells)
        if self._is_plain(cells):
            try:
                return self._taken(cells)
            except (IndexError, UnicodeEncodeError):
                pass  # a long text, or a broken one
        if len(cells) == 1:
            return super().written(cells)
        half = len(cells) // 2
        return self.written(cells[:half]) + self.written(cells[half:])

    def _is_plain(self, cells: Cells) -> bool:
        """What stands between the cells joins no digits."""
        together = "|".join(filter(None, cells))
        if "\0" in together or (self._is_low and holds_identifier(together)):
            return False
        return len(together) <= MAX_VALUE or max(map(len, filter(None, cells))) <= MAX_VALUE

    def _taken(self, cells: Cells) -> Written:
        before, empty = self._before, self._empty
        texts = [cell.strip().encode() if cell else b"" for cell in cells]
        return [before[len(text)] + text if text else empty for text in texts]


class CitizenId(Column):
    """A column of ID numbers."""

    def __init__(self, name: str, one: One, item: Item) -> None:
        super().__init__(name, one)
        self._before = (b"" if item.required else _THERE) + number(LENGTH)

    def written(self, cells: Cells) -> Written:
        """See `Column`."""
        if not TEXTS.issuperset(map(type, cells)):
            return super().written(cells)
        before = self._before
        found = [before + cell.encode("ascii", "replace") if cell else None for cell in cells]
        for at in doubtful(cells):
            found[at] = self._one(cells[at])
        return found


class _Written(dict[str, bytes | None]):
    """Dates as Avro writes them, by how they are written in a format; None for what is not so."""

    def __init__(self, form: str, before: bytes) -> None:
        self._pattern, self._before = _DAYS[form], before

    def __missing__(self, cell: str) -> bytes | None:
        parts = self._pattern.fullmatch(cell)
        if parts is None:
            return None
        try:
            day = date(*map(int, parts.groups())).toordinal() - _1970
        except ValueError:
            return None
        if len(self) >= _KNOWN:
            self.clear()
        found = self[cell] = self._before + number(day)
        return found


_written = lru_cache(64)(_Written)


class Day(Column):
    """A column of dates."""

    def __init__(self, name: str, one: One, item: Item, form: str) -> None:
        super().__init__(name, one)
        self._known = _written(form, b"" if item.required else _THERE)

    def written(self, cells: Cells) -> Written:
        """See `Column`."""
        if not TEXTS.issuperset(map(type, cells)):
            return super().written(cells)
        known, one = self._known, self._one
        return [(cell and known[cell]) or one(cell) for cell in cells]


def compiled(cell: Cell, converter: Converter, field: Schema) -> Column:
    """What reads a column whose item is that field of the schema."""
    item, one = cell.item, exactly(cell, converter, field)
    if cell.coded or item.kind in _FEW:
        return Few(cell.column, one)
    if item.kind is Kind.CITIZEN_ID:
        return CitizenId(cell.column, one, item)
    if item.logical == "date" and cell.format in _DAYS:
        return Day(cell.column, one, item, cell.format)
    return Text(cell.column, one, item) if item.logical == "string" else Few(cell.column, one)


def exactly(cell: Cell, converter: Converter, field: Schema) -> One:
    """What a cell is by converter and codec."""
    codec, name = alone(field), cell.item.name

    def one(value: Any) -> bytes | None:
        found = converter.read(cell, value)
        if isinstance(found, Fault):
            return None
        try:
            written = codec.encode({name: found})
        except ProjectionError:
            return None
        return written if len(written) <= LONGEST else None

    return one


def alone(field: Schema) -> Codec:
    """The codec of one item."""
    return Codec({"type": "record", "name": "alone", "fields": [field]})
