"""The kernel is equal to the reference: on every schema, set of effects and record, and on every
body that is not canonical.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.model import Item, Kind
from broker.policy.effects import LADDERS
from broker.projection.avro import Codec
from broker.projection.program import By
from tests.kernel import needs_kernel
from tests.laws import records as r
from tests.laws.both import Both, World

needs_kernel()

EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "600"))
FLOOR = 20
seen: Counter[str] = Counter()
law = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
BASE = next(iter(r.CATALOG.datasets.values()))

DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
PLAIN = ("boolean", "int", "long", "float", "double", "string", "bytes")
decimals = st.integers(1, 18).flatmap(
    lambda digits: st.integers(0, digits).map(
        lambda scale: {
            "type": "bytes", "logicalType": "decimal", "precision": digits, "scale": scale,
        }
    )
)  # fmt: skip
avros = st.one_of(
    st.sampled_from(PLAIN), st.just("string"), st.sampled_from([DATE, MILLIS, MICROS]), decimals
)
OF_KIND = {
    Kind.BIRTH_DATE: st.just(DATE),
    Kind.DATE: st.just(DATE),
    Kind.DATE_TIME: st.sampled_from([MILLIS, MICROS]),
    Kind.AMOUNT: decimals,
}
"""What an item of a kind usually is; now and then it is something else."""


@st.composite
def worlds(draw: st.DrawFn) -> World:
    kinds = draw(st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=10))
    items = [_item(draw, f"i{number}", kind) for number, kind in enumerate(kinds)]
    scope = _item(draw, "scope", Kind.DIVISION_CODE, avro="string")
    items.insert(draw(st.integers(0, len(items))), scope)
    dataset = replace(BASE, items=tuple(items), scope_item="scope", primary_key=("scope",))
    fields = [_written(draw, item) for item in items if item is scope or draw(st.integers(0, 9))]
    if draw(st.integers(0, 3)) == 0:
        fields = draw(st.permutations(fields))
    if draw(st.integers(0, 3)) == 0:
        fields.append({"name": "gone", "type": draw(avros)})
    templates = [
        {item.name: draw(st.sampled_from(LADDERS[item.kind])) for item in items}
        for _ in range(draw(st.integers(1, 3)))
    ]
    names = draw(st.sets(st.sampled_from([item.name for item in items]), max_size=3))
    row = {name: draw(st.sampled_from(list(By))) for name in sorted(names)}
    return World(dataset, {"type": "record", "name": "w", "fields": fields}, templates, row)


def _item(draw: st.DrawFn, name: str, kind: Kind, avro: Any = None) -> Item:
    usual = OF_KIND.get(kind, st.just("string"))
    avro = avro or draw(avros if draw(st.integers(0, 7)) == 0 else usual)
    return replace(
        BASE.items[0], name=name, kind=kind, avro=avro, required=False, embeds=(), concept=name
    )


def _written(draw: st.DrawFn, item: Item) -> dict[str, Any]:
    same = item.name == "scope" or draw(st.integers(0, 9))
    avro = item.avro if same else draw(avros)
    form = draw(st.sampled_from(["plain", "first", "first", "last"]))
    forms = {"plain": avro, "first": ["null", avro], "last": [avro, "null"]}
    return {"name": item.name, "type": forms[form]}


HAN = st.sampled_from("张王李欧阳司马建国玉兰·　𠮷é")
texts = st.one_of(
    st.text(max_size=30),
    st.text(HAN, max_size=8),
    st.text("0123456789X*", max_size=20),
    st.builds(lambda a, n: a + "*" * n, st.text(HAN, max_size=4), st.integers(0, 9)),
    st.just("字" * 3000),
)


def value(avro: Any, item: Item | None, division: str) -> st.SearchStrategy[Any]:
    """A value of a type, often one that its kind expects."""
    kind = item.kind if item else None
    if avro == "string":
        if kind is Kind.DIVISION_CODE:
            return st.sampled_from([one.code for one in r.DIVISIONS.all()]) | texts
        if kind is Kind.ADDRESS:
            own = "".join(one.name for one in r.DIVISIONS.path(division))
            return (
                st.just(own)
                | r.places(division)
                | st.builds(str.__add__, r.places(division), texts)
                | texts
            )
        if kind in (Kind.CITIZEN_ID, Kind.PHONE, Kind.IDENTIFIER):
            return st.text("0123456789", min_size=5, max_size=20) | texts
        return texts
    if isinstance(avro, dict):
        match avro["logicalType"]:
            case "date":
                return st.dates()
            case "timestamp-millis":
                return moments().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))
            case "timestamp-micros":
                return moments()
        limit = 10 ** avro["precision"] - 1
        scale = avro["scale"]
        return st.integers(-limit, limit).map(
            lambda n: Decimal(n).scaleb(-scale)
        ) | st.sampled_from([0, 300, 600, 1000, 2000, 5000]).map(
            lambda n: min(n, limit // 10**scale)
        ).map(lambda n: Decimal(n * 10**scale).scaleb(-scale))
    return {
        "boolean": st.booleans(),
        "int": st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-70, 70),
        "long": st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-70, 70),
        "float": st.floats(width=32),
        "double": st.floats(),
        "bytes": st.binary(max_size=20),
    }[avro]


def moments() -> st.SearchStrategy[datetime]:
    low, high = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)
    usual = st.datetimes(datetime(1980, 1, 1), datetime(2040, 1, 1))
    edge = st.integers(-9 * 3600, 9 * 3600).map(
        lambda s: datetime(1992, 1, 1) + timedelta(seconds=s)
    )
    # the city's clocks went an hour ahead in the summers of 1986 to 1991
    summer = st.datetimes(datetime(1988, 7, 31, 14, 30), datetime(1988, 7, 31, 16, 30))
    return (st.datetimes(low, high) | usual | edge | summer).map(lambda t: t.replace(tzinfo=UTC))


def body(data: st.DataObject, world: World) -> bytes:
    """The bytes of a record as its writer wrote it."""
    division = data.draw(st.sampled_from(r.VILLAGES))
    record: dict[str, Any] = {}
    for one in world.writer["fields"]:
        avro = one["type"]
        if isinstance(avro, list):
            if data.draw(st.integers(0, 5)) == 0:
                record[one["name"]] = None
                continue
            avro = next(each for each in avro if each != "null")
        if one["name"] == "scope" and data.draw(st.integers(0, 9)):
            record["scope"] = division
            continue
        item = world.dataset.by_name.get(one["name"])
        record[one["name"]] = data.draw(value(avro, item, division))
    return Codec(world.writer)._write(record)


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    short = {name: count for name, count in seen.items() if count < FLOOR}
    assert not short, f"too few interesting cases: {short}"


@law
@given(worlds(), st.data())
def test_the_kernel_is_the_reference(world: World, data: st.DataObject) -> None:
    both = Both(world)
    for _ in range(data.draw(st.integers(1, 3))):
        given = body(data, world)
        slow = both.slow(given)
        assert both.fast(given) == slow
        assert slow is not None
        seen["shown"] += any(one for one in slow)
        seen["an item that cannot be shown"] += None in slow


@law
@given(worlds(), st.data())
def test_what_is_not_canonical_is_refused_as_by_the_reference(
    world: World, data: st.DataObject
) -> None:
    both = Both(world)
    given = body(data, world)
    at = data.draw(st.integers(0, max(len(given) - 1, 0)))
    how = data.draw(st.sampled_from(["cut", "flipped", "noise", "more", "overlong"]))
    match how:
        case "cut":
            changed = given[:at]
        case "flipped":
            changed = (
                given[:at] + bytes([given[at] ^ data.draw(st.integers(1, 255))]) + given[at + 1 :]
            )
        case "noise":
            changed = given[:at] + data.draw(st.binary(max_size=30))
        case "more":
            changed = given + data.draw(st.binary(min_size=1, max_size=3))
        case _:
            changed = given[:at] + bytes([given[at] | 0x80, 0]) + given[at + 1 :]
    slow = both.slow(changed)
    assert both.fast(changed) == slow
    assert (both.kernel.damaged(changed) is None) == (slow is not None)
    seen[f"{how} refused"] += slow is None


@settings(law, max_examples=max(EXAMPLES // 4, 1))
@given(worlds(), st.data())
def test_cut_at_every_byte_and_every_byte_flipped(world: World, data: st.DataObject) -> None:
    both = Both(world)
    given = body(data, world)[:400]
    bits = data.draw(st.sampled_from([1, 2, 0x40, 0x80, 0xFF]))
    for at in range(len(given)):
        for changed in (given[:at], given[:at] + bytes([given[at] ^ bits]) + given[at + 1 :]):
            assert both.fast(changed) == both.slow(changed)
