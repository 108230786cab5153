"""Avro bodies: exactly canonical, or refused; no error holds a value."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from broker.errors import ProjectionError
from broker.projection.avro import Codec

SCHEMA = {
    "type": "record",
    "name": "one",
    "fields": [
        {"name": "text", "type": ["null", "string"], "default": None},
        {"name": "must", "type": "string"},
        {"name": "flag", "type": ["null", "boolean"], "default": None},
        {"name": "count", "type": ["null", "int"], "default": None},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "amount",
            "type": [
                "null",
                {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2},
            ],
        },
    ],
}
RECORD: dict[str, Any] = {
    "text": "甲SECRETVALUE",
    "must": "m",
    "flag": True,
    "count": 300,
    "day": date(1969, 12, 31),
    "at": datetime(2026, 1, 1, tzinfo=UTC),
    "amount": Decimal("-123.45"),
}
CODEC = Codec(SCHEMA)
BODY = CODEC.encode(RECORD)


def test_what_was_written_is_read() -> None:
    assert CODEC.decode(BODY) == RECORD


def test_cut_at_every_byte_it_is_refused() -> None:
    for cut in range(len(BODY)):
        with pytest.raises(ProjectionError) as error:
            CODEC.decode(BODY[:cut])
        assert "SECRET" not in str(error.value)


FLAG = BODY.index(b"m") + 1


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("trailing byte", BODY + b"\0"),
        ("union index -1", b"\x01" + BODY[1:]),
        ("union index 2", b"\x04" + BODY[1:]),
        ("overlong union index", b"\x82\x00" + BODY[1:]),
        ("length beyond the end", b"\x02\xfe\x07" + BODY[2:]),
        ("negative length", b"\x02\x01" + BODY[2:]),
        ("boolean 7", BODY[: FLAG + 1] + b"\x07" + BODY[FLAG + 2 :]),
        ("invalid UTF-8", BODY.replace(b"SECRET", b"\xff\xfe\xff\xfe\xff\xfe")),
        ("a surrogate", BODY.replace("甲".encode(), b"\xed\xa0\x80")),
    ],
)
def test_what_is_not_canonical_is_refused(name: str, body: bytes) -> None:
    assert body != BODY
    with pytest.raises(ProjectionError) as error:
        CODEC.decode(body)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("amount", Decimal("123.456")),
        ("amount", Decimal("1234.00")),
        ("amount", Decimal("NaN")),
        ("amount", 1.5),
        ("count", 1 << 31),
        ("count", True),
        ("count", "7"),
        ("flag", 1),
        ("text", 5),
        ("text", "\udcff"),
        ("must", None),
        ("day", "2026-01-01"),
        ("at", None),
    ],
)
def test_what_does_not_fit_is_refused_with_its_item(item: str, value: Any) -> None:
    with pytest.raises(ProjectionError) as error:
        CODEC.encode({**RECORD, item: value})
    assert error.value.where == item
