"""Avro bodies, strictly.

Law: a body is accepted only if it is exactly what its schema's canonical encoding gives:
no overlong number, no union branch or boolean out of range, nothing cut, nothing left
over. The schema library alone accepts some of these, so what was read is written again
and compared. An error names the item, never a value.
"""

import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro

from broker.errors import ProjectionError
from broker.model import Schema

_FOREIGN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)
_RANGE = {"int": 1 << 31, "long": 1 << 63}

Check = Callable[[Any], bool]


class Codec:
    """Reads and writes the bodies of one record schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = fastavro.parse_schema(schema)
        self._fields = {field["name"]: field for field in schema["fields"]}
        self._checks = [
            (field["name"], check)
            for field in schema["fields"]
            if (check := _check(field["type"])) is not None
        ]

    def decode(self, body: bytes) -> dict[str, Any]:
        """The record of a body; `ProjectionError` names the first item that is not canonical."""
        stream = BytesIO(body)
        try:
            record: Any = fastavro.schemaless_reader(stream, self._schema, None)
            again = self._write(record)
        except _FOREIGN:
            raise _refused("the record is cut or damaged", self._damaged(body)) from None
        for name, check in self._checks:
            value = record.get(name)
            if value is not None and not check(value):
                raise _refused("a value does not fit its type", name)
        if again != body:
            raise _refused("the record is not in canonical form", self._damaged(body))
        found: dict[str, Any] = record
        return found

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """The body of a record; `ProjectionError` names the item that does not fit."""
        for name, check in self._checks:
            value = record.get(name)
            if value is not None and not check(value):
                raise ProjectionError(
                    "a value does not fit its type", where=name, mend="see the dataset's schema"
                )
        try:
            return self._write(record)
        except _FOREIGN:
            raise ProjectionError(
                "a value is missing or does not fit its type",
                where=self._misfit(record),
                mend="see the dataset's schema",
            ) from None

    def _write(self, record: Mapping[str, Any]) -> bytes:
        stream = BytesIO()
        fastavro.schemaless_writer(stream, self._schema, record)
        return stream.getvalue()

    def _misfit(self, record: Mapping[str, Any]) -> str:
        """The first item that alone cannot be written."""
        for name, field in self._fields.items():
            try:
                fastavro.schemaless_writer(BytesIO(), _alone(field), {name: record.get(name)})
            except _FOREIGN:
                return str(name)
        return ""

    def _damaged(self, body: bytes) -> str:
        """The first item that is not canonical; none where only something is left over."""
        stream = BytesIO(body)
        for name, field in self._fields.items():
            schema, start, again = _alone(field), stream.tell(), BytesIO()
            try:
                value: Any = fastavro.schemaless_reader(stream, schema, None)
                fastavro.schemaless_writer(again, schema, value)
            except _FOREIGN:
                return str(name)
            if again.getvalue() != body[start : stream.tell()]:
                return str(name)
        return ""


def _alone(field: Schema) -> Any:
    """The parsed schema of a record of this field alone."""
    return fastavro.parse_schema({"type": "record", "name": "alone", "fields": [field]})


def _check(avro: Any) -> Check | None:
    """What the library would let through: other types, overflow, rounding."""
    if isinstance(avro, list):
        avro = next(one for one in avro if one != "null")
    logical = avro.get("logicalType") if isinstance(avro, dict) else None
    if logical == "decimal":
        return _decimal_check(avro["precision"], avro["scale"])
    if logical == "date":
        return lambda value: type(value) is date
    if logical is not None:
        return lambda value: isinstance(value, datetime) and value.tzinfo is not None
    if avro in _RANGE:
        limit = _RANGE[avro]
        return lambda value: type(value) is int and -limit <= value < limit
    if avro == "boolean":
        return lambda value: isinstance(value, bool)
    if avro == "string":
        return lambda value: isinstance(value, str)
    return None


def _decimal_check(precision: int, scale: int) -> Check:
    def check(value: Any) -> bool:
        if not isinstance(value, Decimal):
            return False
        _, digits, exponent = value.as_tuple()  # the exponent of NaN or infinity is a letter
        if not isinstance(exponent, int):
            return False
        return exponent >= -scale and len(digits) + exponent + scale <= precision

    return check


def _refused(what: str, where: str) -> ProjectionError:
    return ProjectionError(
        what, where=where, mend="collect the record again from its source: `shuqiao connect run`"
    )
