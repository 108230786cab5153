"""Every form says of every record what the strict reading says of it, byte for byte, and refuses
what that refuses.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.errors import ProjectionError
from broker.log.interface import Page
from broker.model import Schema
from broker.projection.avro import Codec
from broker.projection.derive import shared_schema
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms
from broker.registry import frame, unframe
from broker.web.columns import Columns
from broker.web.forms import Avro, Csv, Entries, NdJson
from tests.laws import records as r

FLOOR = 20
seen: Counter[str] = Counter()
law = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
DOMAIN = Pseudonyms(b"k" * 32)
DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}

Told = Callable[[Schema, Page], bytes]


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    short = {name: count for name, count in seen.items() if count < FLOOR}
    assert not short, f"too few interesting cases: {short}"


# ---- what the forms must say: record by record, by the libraries alone


def plain(value: Any) -> str:
    assert isinstance(value, date | Decimal | int | float)
    return value.isoformat() if isinstance(value, date) else str(value)


def decoded(schema: Schema, records: Page) -> Iterator[tuple[str, dict[str, Any] | None]]:
    codec = Codec(schema)
    for key, value in zip(records.keys, records.values, strict=True):
        yield key.hex(), None if value is None else codec.decode(unframe(value)[1])


def as_json(schema: Schema, records: Page) -> list[str]:
    return [
        json.dumps(
            {"key": key, "value": value},
            ensure_ascii=False, separators=(",", ":"), default=plain,
        )
        for key, value in decoded(schema, records)
    ]  # fmt: skip


def as_lines(schema: Schema, records: Page) -> bytes:
    return "".join(f"{line}\n" for line in as_json(schema, records)).encode()


def as_csv(schema: Schema, records: Page, excel: bool) -> bytes:
    def cell(value: Any) -> str:
        if value is None or isinstance(value, bool):
            return "" if value is None else str(value).lower()
        if not isinstance(value, str):
            return plain(value)
        number = value.isascii() and value.isdigit()
        spoilt = value[:1] in tuple("=+-@\t\r") or (
            number and (len(value) > 11 or (len(value) > 1 and value[0] == "0"))
        )
        return f"\t{value}" if excel and spoilt else value

    out = io.StringIO(newline="")
    names = [field["name"] for field in schema["fields"]]
    csv.writer(out, lineterminator="\r\n").writerows(
        [key, *(cell((value or {}).get(name)) for name in names)]
        for key, value in decoded(schema, records)
    )
    return out.getvalue().encode()


FORMS: dict[str, tuple[Told, Told]] = {
    "entries": (
        lambda schema, some: "\n".join(Entries(schema).texts(some)).encode(),
        lambda schema, some: "\n".join(as_json(schema, some)).encode(),
    ),
    "ndjson": (lambda schema, some: NdJson(schema).batch(some), as_lines),
    "csv": (
        lambda schema, some: Csv(schema).batch(some),
        lambda schema, some: as_csv(schema, some, False),
    ),
    "excel": (
        lambda schema, some: Csv(schema, excel=True).batch(some),
        lambda schema, some: as_csv(schema, some, True),
    ),
}


def told(tell: Told, schema: Schema, records: Page) -> bytes | tuple[str, str]:
    """What is said, or why nothing."""
    try:
        return tell(schema, records)
    except ProjectionError as error:
        return error.what, error.where


def same(schema: Schema, records: Page) -> bool:
    """Every form says what it must; whether anything is said."""
    well = True
    for name, (tell, must) in FORMS.items():
        found = told(tell, schema, records)
        assert found == told(must, schema, records), name
        well = well and isinstance(found, bytes)
    return well


# ---- records to say it of

decimals = st.tuples(st.integers(1, 20), st.integers(0, 20)).map(
    lambda two: {
        "type": "bytes", "logicalType": "decimal", "precision": max(two), "scale": min(two),
    }
)  # fmt: skip
avros = st.one_of(
    st.just("string"), st.sampled_from(["boolean", "int", "long", "float", "double"]),
    st.sampled_from([DATE, MILLIS, MICROS]), decimals,
)  # fmt: skip
texts = st.one_of(
    st.text(max_size=20),
    st.text('",\r\n\t\\\x00\x7f\u2028=+-@012%{}', max_size=6),
    st.text("0123456789", max_size=20),
    st.sampled_from(["字" * 21, "字" * 22, "x" * 63, "x" * 64, "x" * 8191, "x" * 8192]),
)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
    lambda one: one.replace(tzinfo=UTC)
)
keys = st.binary(min_size=16, max_size=16) | st.binary(max_size=80)


def value(avro: Any) -> st.SearchStrategy[Any]:
    if isinstance(avro, dict):
        if avro["logicalType"] == "decimal":
            most = 10 ** avro["precision"] - 1
            small = st.integers(-min(most, 300), min(most, 300))
            return (small | st.integers(-most, most)).map(
                lambda n: Decimal(n).scaleb(-avro["scale"])
            )
        return {
            "date": st.dates(),
            "timestamp-millis": moments.map(
                lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000)
            ),
            "timestamp-micros": moments,
        }[avro["logicalType"]]
    return {
        "string": texts,
        "boolean": st.booleans(),
        "int": st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-70, 70),
        "long": st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-70, 70),
        "float": st.floats(width=32),
        "double": st.floats(),
    }[avro]


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """As a share's are; one in ten has something that no share's has."""
    kinds = draw(st.lists(avros, min_size=1, max_size=8))
    fields = [
        {"name": f"f{number}", "type": ["null", avro], "default": None}
        for number, avro in enumerate(kinds)
    ]
    if draw(st.integers(0, 9)) == 0:
        avro = fields[0]["type"][1]
        fields[0] = {"name": "f0", "type": draw(st.sampled_from([avro, [avro, "null"]]))}
    return {"type": "record", "name": "shown", "fields": fields}


def bodies(draw: Any, schema: Schema, most: int = 6) -> list[bytes]:
    found = []
    for _ in range(draw(st.integers(1, most))):
        record = {}
        for field in schema["fields"]:
            avro = field["type"]
            none = isinstance(avro, list) and draw(st.integers(0, 3)) == 0
            one = next(each for each in avro if each != "null") if isinstance(avro, list) else avro
            record[field["name"]] = None if none else draw(value(one))
        found.append(Codec(schema)._write(record))
    return found


def page(draw: Any, found: Sequence[bytes]) -> Page:
    """The bodies in a share, some of them gone."""
    values = [None if draw(st.integers(0, 4)) == 0 else frame(7, body) for body in found]
    return Page(range(len(values)), [draw(keys) for _ in values], values)


# ---- the laws


@law
@given(st.data())
def test_every_form_says_what_the_record_says(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    some = page(data.draw, bodies(data.draw, schema))
    seen["with something"] += same(schema, some)
    seen["with a tombstone"] += None in some.values
    seen["of tombstones alone"] += not any(some.values)


@law
@given(st.data())
def test_every_form_says_what_a_share_holds(data: st.DataObject) -> None:
    """With every mask's type, as the reference gives them."""
    dataset = data.draw(r.datasets)
    effects = data.draw(r.effects(dataset))
    schema = shared_schema(dataset, effects)
    projection = Projection(dataset, effects, DOMAIN, r.DIVISIONS)
    found = []
    for _ in range(data.draw(st.integers(1, 3))):
        with suppress(ProjectionError):  # it cannot be shown
            found.append(projection.project(data.draw(r.records(dataset))))
    assert same(schema, page(data.draw, found))
    assert Columns(schema, str, str, "")._quick, "a share's own schema is read quickly"
    seen["shown"] += bool(found)


@law
@given(st.data())
def test_no_form_says_anything_of_what_is_not_canonical(data: st.DataObject) -> None:
    """Cut, lengthened, changed, or running over into the next record."""
    schema = data.draw(schemas())
    found = bodies(data.draw, schema, 3)
    which = data.draw(st.integers(0, len(found) - 1))
    body = found[which]
    at = data.draw(st.integers(0, len(body)))
    match data.draw(st.sampled_from(["cut", "more", "changed", "overlong", "moved"])):
        case "cut":
            found[which] = body[:at]
        case "more":
            found[which] = body[:at] + data.draw(st.binary(min_size=1, max_size=3)) + body[at:]
        case "changed":
            found[which] = body[:at] + data.draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]
        case "overlong":
            byte = body[at : at + 1] or b"\x00"
            found[which] = body[:at] + bytes([byte[0] | 0x80, 0]) + body[at + 1 :]
        case "moved":
            found[which : which + 2] = [body[:at], body[at:] + b"".join(found[which + 1 :][:1])]
    values = [frame(7, one) for one in found]
    well = same(schema, Page(range(len(values)), [b"k" * 16] * len(values), values))
    seen["refused"] += not well


@law
@given(st.data())
def test_avro_holds_what_stands_in_the_log(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    some = page(data.draw, bodies(data.draw, schema))
    form = Avro(schema)
    read = list(fastavro.block_reader(io.BytesIO(form.head() + form.batch(some))))
    assert [block.num_records for block in read] == [len(some.keys)]
    entries = b"".join(
        Codec(
            {"type": "record", "name": "k", "fields": [{"name": "key", "type": "string"}]}
        )._write({"key": key.hex()})
        + (b"\x00" if value is None else b"\x02" + unframe(value)[1])
        for key, value in zip(some.keys, some.values, strict=True)
    )
    assert read[0].bytes_.getvalue() == entries
    assert form.batch(Page((), (), ())) == b""


@pytest.mark.parametrize("texts", [["x" * n for n in range(60, 70)], ["", "字" * 5_000]])
def test_lengths_of_one_byte_two_and_three(texts: list[str]) -> None:
    schema = {
        "type": "record", "name": "shown", "fields": [{"name": "x", "type": ["null", "string"]}],
    }  # fmt: skip
    bodies = [Codec(schema)._write({"x": text}) for text in texts]
    values = [frame(7, body) for body in bodies]
    assert same(schema, Page(range(len(values)), [b"k" * 16] * len(values), values))
    columns = Columns(schema, str, str, "")
    assert columns.read(bodies) == [texts] and columns._codec is None, "none is left to be decoded"


def test_wherever_a_byte_is_wrong_nothing_is_said_that_was_not_read() -> None:
    """Every byte of a record of every type: cut there, changed, written longer than it need be."""
    record: dict[str, tuple[Any, Any]] = {
        "a": ("string", "张三"), "b": ("string", "x" * 70), "c": ("boolean", True),
        "d": ("int", -3), "e": ("long", 1 << 40), "f": (DATE, date(1990, 1, 1)),
        "g": (MILLIS, datetime(2026, 1, 1, tzinfo=UTC)), "h": ("string", None),
        "i": ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
              Decimal("-1.28")),
        "j": ("double", 1.5), "k": ("string", ""), "l": ("string", "x" * 9_000),
    }  # fmt: skip
    fields = [{"name": name, "type": ["null", avro]} for name, (avro, _) in record.items()]
    schema = {"type": "record", "name": "shown", "fields": fields}
    body = Codec(schema)._write({name: one for name, (_, one) in record.items()})
    assert tried(schema, [body])
    for at in range(len(body) - 8_990):
        byte = body[at]
        flipped = [bytes([byte ^ bit]) for bit in (1, 2, 0x80)]  # the last makes text no text
        for one in (b"", *flipped, bytes([byte | 0x80, 0])):
            tried(schema, [body[:at] + one + body[at + 1 :], body])
        tried(schema, [body[:at], body[at:]])


def test_of_many_distinct_values_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that goes on for days keeps no more than at first."""
    monkeypatch.setattr("broker.web.columns._REMEMBERED", 10)
    schema = {"type": "record", "name": "shown", "fields": [{"name": "x", "type": ["null", DATE]}]}
    days = [date(2000, 1, 1 + day) for day in range(30)]
    bodies = [Codec(schema)._write({"x": day}) for day in days]
    made = list[str]()

    def words(day: date) -> str:
        made.append(str(day))
        return str(day)

    columns = Columns(schema, str, words, "")
    for _ in range(2):
        assert columns.read(bodies) == [list(map(str, days))]
        assert columns.read(bodies[-3:]) == [list(map(str, days[-3:]))]
    assert made == [str(day) for day in days] * 2


def tried(schema: Schema, found: Sequence[bytes]) -> bool:
    """`same` of lines alone, which read as the others do."""
    values = [frame(7, one) for one in found]
    some = Page(range(len(values)), [b"k" * 16] * len(values), values)
    tell, must = FORMS["ndjson"]
    result = told(tell, schema, some)
    assert result == told(must, schema, some)
    return isinstance(result, bytes)
