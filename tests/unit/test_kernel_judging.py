"""A verdict that is remembered is the verdict on every record that it is remembered for: of a date
its year, of a citizen's number the year within it, of anything else all of it.
"""

from dataclasses import replace
from datetime import date
from itertools import permutations
from typing import Any

import pytest

from broker.model import Kind
from broker.policy.effects import LADDERS
from broker.projection.avro import Codec
from broker.projection.program import By
from tests.fuzz.oracle import Oracle
from tests.fuzz.programs import BASE, DATE
from tests.kernel import needs_kernel
from tests.laws.both import World
from tests.laws.records import VILLAGES

needs_kernel()

ITEMS: list[tuple[str, Kind, Any]] = [
    ("number", Kind.CITIZEN_ID, "string"),
    ("birth", Kind.BIRTH_DATE, DATE),
    ("code", Kind.CODE, "string"),
    ("scope", Kind.DIVISION_CODE, "string"),
]
NUMBERS = [
    None,
    "",
    "11010120200101123X",
    "110101202012311234",
    "110101198001011234",
    "1101012020010112345",
    "11010120200101123",
    "1101012020",
    "110101202",
    "110101",
    "110101202x01011234",
    "110101 20200101123",
    "110101２０２００１０１１２３４",
    "110101202001011é34",
    "110101000001011234",
]
"""The same year in numbers that are one, and in what is none."""

BIRTHS = [None, date(2020, 1, 1), date(2020, 12, 31), date(1980, 1, 1), date(2012, 12, 31)]
CODES = [None, "", "a", "ab", "\x00"]


def judging() -> Oracle:
    items = [
        replace(
            BASE.items[0], name=name, kind=kind, avro=avro, required=False, embeds=(), concept=name
        )
        for name, kind, avro in ITEMS
    ]
    dataset = replace(BASE, items=tuple(items), scope_item="scope", primary_key=("scope",))
    fields = [{"name": name, "type": ["null", avro]} for name, _, avro in ITEMS]
    row = {"number": By.NUMBER, "birth": By.BIRTH, "code": By.WHOLE}
    keep = {item.name: LADDERS[item.kind][0] for item in items}
    return Oracle(World(dataset, {"type": "record", "name": "w", "fields": fields}, [keep], row))


@pytest.mark.parametrize(
    "records",
    [
        [(number, None, None) for number in NUMBERS],
        [(number, BIRTHS[2], "a") for number in NUMBERS],
        [("110101198001011234", birth, None) for birth in BIRTHS],
        [(None, birth, code) for birth in BIRTHS[:3] for code in CODES[:3]],
        [(None, None, code) for code in CODES],
    ],
    ids=["numbers", "numbers and a birth", "births", "births and codes", "codes"],
)
def test_what_is_judged_alike_is_alike(records: list[tuple[Any, ...]]) -> None:
    oracle = judging()
    codec = Codec(oracle.world.writer)
    names = [name for name, _, _ in ITEMS]
    bodies = [codec.encode(dict(zip(names, (*one, VILLAGES[0]), strict=True))) for one in records]
    for first, then in permutations(bodies, 2):
        oracle.begin_anew()
        assert oracle.check(first) and oracle.check(then)


def test_births_of_one_year_are_judged_once() -> None:
    """Otherwise nothing is remembered, and the law above says nothing."""
    oracle = judging()
    codec = Codec(oracle.world.writer)
    for day in range(1, 29):
        made = {"number": None, "birth": date(2020, 1, day), "code": None, "scope": VILLAGES[0]}
        assert oracle.check(codec.encode(made))
    assert len(oracle.choices.verdicts) == 1
