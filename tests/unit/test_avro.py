"""Avro bodies: exactly canonical, or refused; no error holds a value."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from broker.errors import ProjectionError
from broker.projection.avro import Codec
from tests.laws.records import CATALOG

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


FILLED = {
    "string": "甲乙丙丁",
    "int": 300,
    "boolean": True,
    "date": date(2000, 2, 29),
    "timestamp-millis": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    "decimal": Decimal("1234567.89"),
}


@pytest.mark.parametrize("name", sorted(CATALOG.datasets))
def test_a_record_of_every_dataset_is_read_whole_or_not_at_all(name: str) -> None:
    dataset = CATALOG.dataset(name)
    codec = Codec(dataset.schema)
    record = {item.name: FILLED[item.logical] for item in dataset.items}
    body = codec.encode(record)
    assert codec.decode(body) == record
    for cut in range(len(body)):
        with pytest.raises(ProjectionError) as error:
            codec.decode(body[:cut])
        assert error.value.where in dataset.by_name
    for left_over in (b"\0", b"\x02", body):
        with pytest.raises(ProjectionError):
            codec.decode(body + left_over)


FLAG = BODY.index(b"m") + 1


@pytest.mark.parametrize(
    ("name", "item", "body"),
    [
        ("trailing byte", "", BODY + b"\0"),
        ("union index -1", "text", b"\x01" + BODY[1:]),
        ("union index 2", "text", b"\x04" + BODY[1:]),
        ("overlong union index", "text", b"\x82\x00" + BODY[1:]),
        ("overlong length", "text", b"\x02" + bytes([BODY[1] | 0x80, 0]) + BODY[2:]),
        ("length beyond the end", "text", b"\x02\xfe\x07" + BODY[2:]),
        ("length of exabytes", "text", b"\x02" + b"\xfe" * 8 + b"\x7f" + BODY[2:]),
        ("number without an end", "text", b"\x02" + b"\xff" * 20 + BODY[2:]),
        ("negative length", "text", b"\x02\x01" + BODY[2:]),
        ("boolean 7", "flag", BODY[: FLAG + 1] + b"\x07" + BODY[FLAG + 2 :]),
        ("invalid UTF-8", "text", BODY.replace(b"SECRET", b"\xff\xfe\xff\xfe\xff\xfe")),
        ("a surrogate", "text", BODY.replace("甲".encode(), b"\xed\xa0\x80")),
    ],
)
def test_what_is_not_canonical_is_refused(name: str, item: str, body: bytes) -> None:
    assert body != BODY
    with pytest.raises(ProjectionError) as error:
        CODEC.decode(body)
    assert "SECRET" not in str(error.value)
    assert error.value.where == item and error.value.mend


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("amount", Decimal("123.456")),
        ("amount", Decimal("1234.00")),
        ("amount", Decimal("NaN")),
        ("amount", Decimal("Infinity")),
        ("amount", Decimal("9E+999999")),
        ("amount", Decimal("0E+999999")),
        ("amount", Decimal("1.00000000000000000000000000000000000001")),
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
