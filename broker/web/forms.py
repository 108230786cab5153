"""The forms in which records leave: JSON, lines of JSON, CSV, Avro.

Law: every form says the same: the record's key in the share, and the value's fields as
the share's schema has them; a tombstone is a null value. Dates and times are ISO 8601,
amounts decimal text, so that nothing is rounded.
"""

import csv
import io
import json
import os
from binascii import hexlify
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Protocol

import fastavro

from broker.log.interface import Page
from broker.model import Schema
from broker.registry import bodies
from broker.web.columns import Columns

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EXACT_DIGITS = 11
"""More digits than this Excel shows as 1.2E+11, and beyond 15 it loses them."""


class Form(Protocol):
    """A form of a stream: what stands before the records, and the records of a batch."""

    media_type: str
    extension: str

    def head(self) -> bytes:
        """What stands before the first record."""

    def batch(self, records: Page) -> bytes:
        """Some records; nothing where there are none."""

    def last_words(self, error: Mapping[str, object]) -> bytes:
        """What says in this form that the stream ends before its end; empty where nothing can."""


def to_json(value: Any) -> bytes:
    """JSON in UTF-8."""
    return _json(value).encode()


class Entries:
    """Records as JSON has them: each an object of its key and its value."""

    def __init__(self, schema: Schema) -> None:
        self._columns = Columns(schema, encode_basestring, _json, "null")
        names = [encode_basestring(field["name"]) for field in schema["fields"]]
        fields = ",".join(f"{name.replace('%', '%%')}:%s" for name in names)
        self._there = f'{{"key":"%s","value":{{{fields}}}}}'

    def texts(self, records: Page) -> list[str]:
        """The text of each."""
        keys = [key.hex() for key in records.keys]
        values = bodies(records.values)
        there = [body for body in values if body is not None]
        columns = self._columns.read(there)
        if len(there) == len(keys):
            return list(map(self._there.__mod__, zip(keys, *columns, strict=True)))
        rows = zip(*columns, strict=True)
        return [
            f'{{"key":"{key}","value":null}}' if body is None else self._there % (key, *next(rows))
            for key, body in zip(keys, values, strict=True)
        ]


class NdJson:
    """NDJSON: one record a line."""

    media_type = "application/x-ndjson"
    extension = "ndjson"

    def __init__(self, schema: Schema) -> None:
        self._entries = Entries(schema)

    def head(self) -> bytes:
        """See `Form`."""
        return b""

    def batch(self, records: Page) -> bytes:
        """See `Form`."""
        lines = self._entries.texts(records)
        return "\n".join([*lines, ""]).encode()

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
        self._columns = Columns(schema, _unspoilt if excel else str, _cell, "")
        self._names = [field["name"] for field in schema["fields"]]

    def head(self) -> bytes:
        """See `Form`."""
        return b"\xef\xbb\xbf" + _written([["key", *self._names]])

    def batch(self, records: Page) -> bytes:
        """See `Form`."""
        values = bodies(records.values)
        there = [body for body in values if body is not None]
        rows = zip(*self._columns.read(there), strict=True)
        nothing = ("",) * len(self._names)
        return _written(
            (key.hex(), *(nothing if body is None else next(rows)))
            for key, body in zip(records.keys, values, strict=True)
        )

    def last_words(self, error: Mapping[str, object]) -> bytes:
        """See `Form`."""
        return b""


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

    def batch(self, records: Page) -> bytes:
        """See `Form`: count and size as Avro longs, the entries, the sync marker. An entry is the
        key's length and text, the branch of the value, the value."""
        keys = records.keys
        sizes = {size: _long(2 * size) for size in set(map(len, keys))}
        data = b"".join(
            [
                b"%b%b\x00" % (sizes[len(key)], hexlify(key))
                if body is None
                else b"%b%b\x02%b" % (sizes[len(key)], hexlify(key), body)
                for key, body in zip(keys, bodies(records.values), strict=True)
            ]
        )
        return b"".join((_long(len(keys)), _long(len(data)), data, self._sync)) if keys else b""

    def last_words(self, error: Mapping[str, object]) -> bytes:
        """See `Form`."""
        return b""


def _long(number: int) -> bytes:
    """An Avro long that is not negative."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    return out.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _written(rows: Iterable[Iterable[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    """A value that is neither missing nor text, as a cell."""
    return str(value).lower() if isinstance(value, bool) else _plain(value)


def _unspoilt(text: str) -> str:
    """A text as a cell for Excel."""
    return f"\t{text}" if _spoilt(text) else text


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
