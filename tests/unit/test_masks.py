"""Every mask by example, with the traps that masks elsewhere fell into."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.divisions import load_divisions
from broker.errors import ProjectionError
from broker.model import Kind
from broker.policy.effects import LADDERS, parse_effect
from broker.policy.model import Effect
from broker.projection.masks import BANDS, make_mask
from broker.pseudonym import Pseudonyms

DIVISIONS = load_divisions(Path(__file__).parents[2] / "schemas" / "divisions.csv")
GULOU = "371502001001"


def masked(kind: Kind, effect: Effect | str, value: Any, division: str | None = GULOU) -> Any:
    chosen = parse_effect(kind, effect) if isinstance(effect, str) else effect
    mask = make_mask(kind, chosen, divisions=DIVISIONS, pseudonyms=Pseudonyms(b"k" * 32))
    return mask(value, division)


@pytest.mark.parametrize(
    ("kind", "effect", "value", "shown"),
    [
        (Kind.CITIZEN_ID, "edges", "990000198001150015", "990000********0015"),
        (Kind.CITIZEN_ID, "edges", "99000019800115", "990000********0115"),
        (Kind.CITIZEN_ID, "edges", "9900001980115", None),
        (Kind.CITIZEN_ID, "edges", "990000********0015", None),
        (Kind.PHONE, "partial", "15412345678", "154****5678"),
        (Kind.PHONE, "partial", "1545678", None),
        (Kind.IDENTIFIER, "tail4", "DB12345678", "****5678"),
        (Kind.IDENTIFIER, "tail4", "1234567", None),
        (Kind.PERSON_NAME, "surname", "张三", "张**"),
        (Kind.PERSON_NAME, "surname", "张", None),
        (Kind.PERSON_NAME, "surname", "欧阳娜娜", "欧阳**"),
        (Kind.PERSON_NAME, "surname", "欧阳", "欧**"),
        (Kind.PERSON_NAME, "surname", "张**", None),
        (Kind.PERSON_NAME, "surname", "", None),
        (Kind.BIRTH_DATE, "month", date(2000, 2, 29), "2000-02"),
        (Kind.BIRTH_DATE, "year", date(1969, 12, 31), 1969),
        (Kind.BIRTH_DATE, "decade", date(1969, 12, 31), 1960),
        (Kind.BIRTH_DATE, "decade", date(1970, 1, 1), 1970),
        (Kind.DATE, "month", date(1969, 12, 31), "1969-12"),
        (Kind.DATE_TIME, "day", datetime(1969, 12, 31, 15, tzinfo=UTC), date(1969, 12, 31)),
        (Kind.DATE_TIME, "month", datetime(2024, 2, 29, 15, 59, tzinfo=UTC), "2024-02"),
        (Kind.DATE_TIME, "month", datetime(2024, 2, 29, 16, tzinfo=UTC), "2024-03"),
        (Kind.DATE_TIME, "day", datetime(2025, 12, 31, 16, tzinfo=UTC), date(2026, 1, 1)),
        (Kind.DATE_TIME, "year", datetime(2025, 12, 31, 15, 59, tzinfo=UTC), 2025),
        (Kind.AMOUNT, "band", Decimal("0.00"), "0-300"),
        (Kind.AMOUNT, "band", Decimal("299.99"), "0-300"),
        (Kind.AMOUNT, "band", Decimal("300.00"), "300-600"),
        (Kind.AMOUNT, "band", Decimal("5000.00"), "5000-"),
        (Kind.AMOUNT, "band", Decimal("-0.01"), None),
        (Kind.DIVISION_CODE, "town", GULOU, "371502001"),
        (Kind.DIVISION_CODE, "county", GULOU, "371502"),
        (Kind.DIVISION_CODE, "city", GULOU, "3715"),
        (Kind.DIVISION_CODE, "town", "371502000000", None),
        (Kind.DIVISION_CODE, "county", "371502000000", "371502"),
        (Kind.DIVISION_CODE, "town", "371599999999", None),
        (Kind.DIVISION_CODE, "town", "371502001", None),
        (Kind.DIVISION_CODE, "city", "371500000000", "3715"),
        (Kind.DIVISION_CODE, "county", "371500000000", None),
    ],
)
def test_masks(kind: Kind, effect: str, value: Any, shown: Any) -> None:
    assert masked(kind, effect, value) == shown


def test_an_amount_lies_in_its_band() -> None:
    for low, high in zip(BANDS, (*BANDS[1:], None), strict=True):
        shown = f"{low}-{high or ''}"
        last = Decimal(high) - Decimal("0.01") if high else Decimal("9999999999.99")
        assert masked(Kind.AMOUNT, "band", Decimal(low)) == shown
        assert masked(Kind.AMOUNT, "band", last) == shown


def test_a_town_that_ends_in_zero_keeps_its_digits() -> None:
    towns = [one for one in DIVISIONS.all() if one.tier == "town" and one.code[8] == "0"]
    assert len(towns) >= 10
    for town in towns:
        assert masked(Kind.DIVISION_CODE, "town", town.code) == town.code[:9]


@pytest.mark.parametrize(
    ("address", "street", "county"),
    [
        ("山东省聊城市东昌府区古楼街道古城社区3号楼", "聊城市东昌府区古楼街道", "聊城市东昌府区"),
        ("东昌府区古楼街道3号", "聊城市东昌府区古楼街道", "聊城市东昌府区"),
        # 镇, 乡 and 街道 stand in other names; a street of another division falls to county
        ("江苏省镇江市京口区谏壁街道9号", None, None),
        ("河南省新乡市封丘县黄陵镇1号", None, None),
        ("聊城市东昌府区新乡市路镇北街道7号", "聊城市东昌府区", "聊城市东昌府区"),
        ("聊城市东昌府区柳园街道5号", "聊城市东昌府区", "聊城市东昌府区"),
        # the street's name later in the text shows nothing of what stands before it
        ("聊城市东昌府区5号楼张三转古楼街道", "聊城市东昌府区", "聊城市东昌府区"),
        ("聊城市东昌府区古楼街道", None, "聊城市东昌府区"),
        ("聊城市东昌府区", None, None),
        ("某处", None, None),
    ],
)
def test_addresses_go_down_to_names_of_the_own_division(
    address: str, street: str | None, county: str | None
) -> None:
    assert masked(Kind.ADDRESS, "street", address) == street
    assert masked(Kind.ADDRESS, "county", address) == county


@pytest.mark.parametrize("division", [None, "371599999999", "3715"])
def test_without_a_known_division_no_address_is_shown(division: str | None) -> None:
    assert masked(Kind.ADDRESS, "street", "聊城市东昌府区古楼街道3号", division) is None


@pytest.mark.parametrize(
    ("division", "street", "county"),
    [
        ("371502001000", "聊城市东昌府区古楼街道", "聊城市东昌府区"),
        ("371502000000", None, "聊城市东昌府区"),
        ("371500000000", None, None),
    ],
)
def test_an_address_is_shown_no_finer_than_the_own_division(
    division: str, street: str | None, county: str | None
) -> None:
    address = "聊城市东昌府区古楼街道3号"
    assert masked(Kind.ADDRESS, "street", address, division) == street
    assert masked(Kind.ADDRESS, "county", address, division) == county


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), "2026-01-01", 0])
def test_a_time_without_a_zone_is_no_time(value: Any) -> None:
    with pytest.raises(ProjectionError):
        masked(Kind.DATE_TIME, "day", value)


def test_pseudonyms_are_equal_for_equal_values_in_one_domain_alone() -> None:
    one = masked(Kind.CITIZEN_ID, "pseudonym", "990000198001150015")
    assert one == masked(Kind.CITIZEN_ID, "pseudonym", "990000198001150015")
    assert one != Pseudonyms(b"j" * 32).of("990000198001150015")
    assert len(one) == 26


@pytest.mark.parametrize(
    ("kind", "effect"),
    [
        (Kind.CITIZEN_ID, Effect("edges", (("first", -1), ("last", 4)))),
        (Kind.CITIZEN_ID, Effect("edges", (("first", 6),))),
        (Kind.CITIZEN_ID, Effect("edges", (("first", "6"), ("last", 4)))),
        (Kind.CITIZEN_ID, Effect("edges", (("first", True), ("last", 4)))),
        (Kind.CITIZEN_ID, Effect("surname")),
        (Kind.PHONE, Effect("pseudonym")),
        (Kind.PHONE, Effect("drop")),
        (Kind.AMOUNT, Effect("band", (("width", 1),))),
        (Kind.CODE, Effect("unheard_of")),
    ],
)
def test_what_is_not_on_the_ladder_is_refused(kind: Kind, effect: Effect) -> None:
    with pytest.raises(ProjectionError):
        masked(kind, effect, "x")


def test_a_pseudonym_without_a_domain_is_refused() -> None:
    effect = parse_effect(Kind.CITIZEN_ID, "pseudonym")
    with pytest.raises(ProjectionError):
        make_mask(Kind.CITIZEN_ID, effect, divisions=DIVISIONS, pseudonyms=None)


def test_every_effect_of_every_ladder_has_a_mask() -> None:
    for kind, ladder in LADDERS.items():
        for effect in ladder[:-1]:
            make_mask(kind, effect, divisions=DIVISIONS, pseudonyms=Pseudonyms(b"k" * 32))
