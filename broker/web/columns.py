"""The values of a share as texts, field by field: a batch is read column by column.

Law: exactly what the strict reading gives (`Codec`), by test. Whatever is not plainly canonical
here, and every schema that is not as `derive` makes them, is left to it: so every error is its
error.
"""

from collections.abc import Callable, Sequence
from typing import Any

from broker.errors import ProjectionError
from broker.model import Schema
from broker.projection.avro import Codec

Words = Callable[[Any], str]

_NULL, _THERE = 0, 2
"""What stands before a value of a union of null and something: which of both it is."""

_MORE = 0x80
"""Set in every byte of a number but the last."""

_WIDEST = 28
"""Bits of a length before its last byte."""

_REMEMBERED = 20_000
"""Distinct values of a field whose texts are remembered."""

_UNSURE = (IndexError, ValueError)
"""Cut, damaged, or merely not canonical: the strict reading says which."""

_NUMBERS = {("int", None), ("long", None), ("int", "date")} | {
    ("long", f"timestamp-{unit}") for unit in ("millis", "micros")
}
_DECIMAL = ("bytes", "decimal")
_FIXED = {("boolean", None): 1, ("float", None): 4, ("double", None): 8}

Column = Callable[[Sequence[bytes], list[int]], list[str]]
"""(bodies, where the field begins in each) → its texts; then the next field begins there."""


class Columns:
    """Reads the bodies of one schema. `string` makes the text of a string, `other` of every other
    value that is there, and `null` is the text of none."""

    def __init__(self, schema: Schema, string: Words, other: Words, null: str) -> None:
        self._schema = schema
        self._names = [field["name"] for field in schema["fields"]]
        self._string = string
        self._other = other
        self._null = null
        self._codec: Codec | None = None
        made = [self._column(field["type"]) for field in schema["fields"]]
        self._columns = [one for one in made if one is not None]
        self._quick = len(self._columns) == len(made)

    def read(self, bodies: Sequence[bytes]) -> list[list[str]]:
        """The texts of each field; `ProjectionError` where a body is not canonical."""
        if self._quick:
            try:
                return self._read(bodies)
            except _UNSURE:
                pass
        return self._strictly(bodies)

    def _read(self, bodies: Sequence[bytes]) -> list[list[str]]:
        places = [0] * len(bodies)
        found = [column(bodies, places) for column in self._columns]
        if places != list(map(len, bodies)):
            raise ValueError
        return found

    def _strictly(self, bodies: Sequence[bytes]) -> list[list[str]]:
        if self._codec is None:
            self._codec = Codec(self._schema)
        records = list(map(self._codec.decode, bodies))
        return [[self._text(record[name]) for record in records] for name in self._names]

    def _text(self, value: Any) -> str:
        if value is None:
            return self._null
        return self._string(value) if isinstance(value, str) else self._other(value)

    def _column(self, avro: Any) -> Column | None:
        """How a field of this type is read; None where only the strict reading knows it."""
        if not isinstance(avro, list) or len(avro) != 2 or avro[0] != "null":
            return None
        plain = avro[1]
        if plain == "string":
            return _strings(self._string, self._null)
        named = isinstance(plain, str)
        kind = (plain, None) if named else (plain["type"], plain.get("logicalType"))
        size = _FIXED.get(kind)
        if size is not None:
            return _fixed(size, _Texts(plain, self._other), self._null)
        if kind in _NUMBERS:
            return _numbers(_Texts(plain, self._other), self._null)
        if kind == _DECIMAL:
            return _decimals(_Texts(plain, self._other), self._null)
        return None


class _Texts(dict[bytes, str]):
    """The texts of a field's values, by their bytes; what is not there yet is read strictly."""

    def __init__(self, avro: Any, words: Words) -> None:
        self._avro = avro
        self._words = words
        self._codec: Codec | None = None

    def __missing__(self, raw: bytes) -> str:
        if self._codec is None:
            field = {"name": "x", "type": self._avro}
            self._codec = Codec({"type": "record", "name": "alone", "fields": [field]})
        try:
            text = self._words(self._codec.decode(raw)["x"])
        except ProjectionError:
            raise ValueError from None
        if len(self) >= _REMEMBERED:
            self.clear()
        self[raw] = text
        return text


def _strings(words: Words, null: str) -> Column:
    def column(bodies: Sequence[bytes], places: list[int]) -> list[str]:
        found = []
        for number, body in enumerate(bodies):
            at = places[number]
            branch = body[at]
            if branch == _THERE:
                size, start = body[at + 1], at + 2
                if size >= _MORE:
                    size, start = _length(body, at + 1)
                if size & 1:
                    raise ValueError
                places[number] = end = start + (size >> 1)
                found.append(words(body[start:end].decode()))
            elif branch == _NULL:
                places[number] = at + 1
                found.append(null)
            else:
                raise ValueError
        return found

    return column


def _numbers(texts: _Texts, null: str) -> Column:
    def column(bodies: Sequence[bytes], places: list[int]) -> list[str]:
        found = []
        for number, body in enumerate(bodies):
            at = places[number] + 1
            branch = body[at - 1]
            if branch == _THERE:
                end = at
                while body[end] >= _MORE:
                    end += 1
                places[number] = end = end + 1
                found.append(texts[body[at:end]])
            elif branch == _NULL:
                places[number] = at
                found.append(null)
            else:
                raise ValueError
        return found

    return column


def _decimals(texts: _Texts, null: str) -> Column:
    def column(bodies: Sequence[bytes], places: list[int]) -> list[str]:
        found = []
        for number, body in enumerate(bodies):
            at = places[number] + 1
            branch = body[at - 1]
            if branch == _THERE:
                size, start = _length(body, at)
                places[number] = end = start + (size >> 1)
                found.append(texts[body[at:end]])
            elif branch == _NULL:
                places[number] = at
                found.append(null)
            else:
                raise ValueError
        return found

    return column


def _fixed(size: int, texts: _Texts, null: str) -> Column:
    def column(bodies: Sequence[bytes], places: list[int]) -> list[str]:
        found = []
        for number, body in enumerate(bodies):
            at = places[number] + 1
            branch = body[at - 1]
            if branch == _THERE:
                places[number] = at + size
                found.append(texts[body[at : at + size]])
            elif branch == _NULL:
                places[number] = at
                found.append(null)
            else:
                raise ValueError
        return found

    return column


def _length(body: bytes, at: int) -> tuple[int, int]:
    """An Avro number as it stands, twice the length and odd where that is negative, and where it
    ends; `ValueError` where it is overlong or no length can be so great."""
    number = shift = 0
    while (byte := body[at]) >= _MORE:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > _WIDEST:
            raise ValueError
    if not byte and shift:
        raise ValueError
    return number | byte << shift, at + 1
