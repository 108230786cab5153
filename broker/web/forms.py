"""The forms in which records leave: JSON, lines of JSON, CSV, Avro.

Law: every form says the same: the record's key in the share, and the value's fields as
the share's schema has them; a tombstone is a null value. Dates and times are ISO 8601,
amounts decimal text, so that nothing is rounded.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

import fastavro

from broker.log.interface import Stored
from broker.model import Schema
from broker.projection.avro import Codec
from broker.registry import unframe

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EXACT_DIGITS = 11
"""More digits than this Excel shows as 1.2E+11, and beyond 15 it loses them."""


class Form(Protocol):
    """A form of a stream: what stands before the records, and the records of a batch."""

    media_type: str
    extension: str

    def head(self) -> bytes:
        """What stands before the first record."""

    def batch(self, records: Iterable[Stored]) -> bytes:
        """Some records; nothing where there are none."""

    def last_words(self, error: Mapping[str, object]) -> bytes:
        """What says in this form that the stream ends before its end; empty where nothing can."""


def entries(records: Iterable[Stored], codec: Codec) -> list[dict[str, Any]]:
    """Records as JSON has them, but for dates and amounts."""
    return [{"key": record.key.hex(), "value": _value(record, codec)} for record in records]


def to_json(value: Any) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


class NdJson:
    """NDJSON: one record a line."""

    media_type = "application/x-ndjson"
    extension = "ndjson"

    def __init__(self, schema: Schema) -> None:
        self._codec = Codec(schema)

    def head(self) -> bytes:
        """See `Form`."""
        return b""

    def batch(self, records: Iterable[Stored]) -> bytes:
        """See `Form`."""
        return b"".join(to_json(entry) + b"\n" for entry in entries(records, self._codec))

    def last_words(self, error: Mapping[str, object]) -> bytes:
        """See `Form`."""
        return to_json(error) + b"\n"


class Csv:
    """CSV in UTF-8 with a byte order mark; a tombstone has a key and no more.

    `excel` puts a tab before what Excel would spoil or run: long numbers, leading zeros,
    formulas.
    """

    media_type = "text/csv; charset=utf-8"
    extension = "csv"

    def __init__(self, schema: Schema, excel: bool = False) -> None:
        self._codec = Codec(schema)
        self._names = [field["name"] for field in schema["fields"]]
        self._excel = excel

    def head(self) -> bytes:
        """See `Form`."""
        return b"\xef\xbb\xbf" + self._written([["key", *self._names]])

    def batch(self, records: Iterable[Stored]) -> bytes:
        """See `Form`."""
        rows = []
        for entry in entries(records, self._codec):
            value = entry["value"] or {}
            rows.append([entry["key"], *(self._cell(value.get(name)) for name in self._names)])
        return self._written(rows)

    def last_words(self, error: Mapping[str, object]) -> bytes:
        """See `Form`."""
        return b""

    def _cell(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        text = str(_plain(value)) if not isinstance(value, str) else value
        return f"\t{text}" if self._excel and isinstance(value, str) and _spoilt(text) else text

    def _written(self, rows: Iterable[list[str]]) -> bytes:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\r\n").writerows(rows)
        return out.getvalue().encode()


class Avro:
    """An Avro object container file of entries (key, value): what stands in the log is put
    into its blocks as it is."""

    media_type = "application/avro"
    extension = "avro"

    def __init__(self, schema: Schema, cursor: str = "") -> None:
        self._schema: Schema = {
            "type": "record",
            "name": "Entry",
            "namespace": "shuqiao",
            "fields": [
                {"name": "key", "type": "string"},
                {"name": "value", "type": ["null", schema]},
            ],
        }
        self._cursor = cursor
        self._sync = os.urandom(16)

    def head(self) -> bytes:
        """See `Form`."""
        out = io.BytesIO()
        metadata = {"shuqiao.cursor": self._cursor} if self._cursor else {}
        fastavro.writer(out, self._schema, [], metadata=metadata, sync_marker=self._sync)
        return out.getvalue()

    def batch(self, records: Iterable[Stored]) -> bytes:
        """See `Form`: count and size as Avro longs, the entries, the sync marker."""
        found = [_entry(record) for record in records]
        data = b"".join(found)
        return _long(len(found)) + _long(len(data)) + data + self._sync if found else b""

    def last_words(self, error: Mapping[str, object]) -> bytes:
        """See `Form`."""
        return b""


def _entry(record: Stored) -> bytes:
    """An entry's Avro body: the key's length and text, the branch of the value, the value."""
    key = record.key.hex().encode()
    value = b"\x00" if record.value is None else b"\x02" + unframe(record.value)[1]
    return _long(len(key)) + key + value


def _long(number: int) -> bytes:
    """An Avro long that is not negative."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    return out.getvalue()


def _value(record: Stored, codec: Codec) -> dict[str, Any] | None:
    return None if record.value is None else codec.decode(unframe(record.value)[1])


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Decimal, int, float)):
        return str(value)
    raise TypeError(f"no form for {type(value).__name__}")


def _spoilt(text: str) -> bool:
    number = text.isascii() and text.isdigit()
    return text.startswith(_FORMULA) or (
        number and (len(text) > _EXACT_DIGITS or (len(text) > 1 and text[0] == "0"))
    )
