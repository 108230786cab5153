"""Random records of the six datasets, and for each a twin that differs only in what is hidden."""

import base64
import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from broker.catalog import load_catalog
from broker.divisions import load_divisions
from broker.model import Dataset, Item, Kind
from broker.policy.effects import LADDERS
from broker.policy.model import Effect
from broker.projection.masks import BANDS, surname

SCHEMAS = Path(__file__).parents[2] / "schemas"
CATALOG = load_catalog(SCHEMAS)
DIVISIONS = load_divisions(SCHEMAS / "divisions.csv")
VILLAGES = [one.code for one in DIVISIONS.all() if one.tier == "village"]
HAN = "张王李赵欧阳建国文玉兰晓东宇轩镇乡街道江宁新"


def canary(number: int, name: str = "") -> str:
    """16 characters that occur by chance nowhere else."""
    digest = hashlib.blake2b(f"{number}/{name}".encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()


CANARY = st.integers(0, 1 << 64).map(canary)

datasets = st.sampled_from(sorted(CATALOG.datasets.values(), key=lambda one: one.id))


@st.composite
def effects(draw: st.DrawFn, dataset: Dataset) -> dict[str, Effect]:
    """Any effect of its ladder for every item."""
    return {item.name: draw(st.sampled_from(LADDERS[item.kind])) for item in dataset.items}


@st.composite
def records(draw: st.DrawFn, dataset: Dataset) -> dict[str, Any]:
    """A record in which every text is long enough to be told from chance."""
    division = draw(st.sampled_from(VILLAGES))
    return {
        item.name: division
        if item.name == dataset.scope_item
        else draw(value(item, division))
        if item.required or draw(st.integers(0, 9))
        else None
        for item in dataset.items
    }


def value(item: Item, division: str) -> st.SearchStrategy[Any]:
    """A value of an item."""
    digits = st.text("0123456789", min_size=12, max_size=12)
    match item.kind:
        case Kind.CITIZEN_ID:
            return st.builds(lambda a, b: a[:6] + b + a[6:10], digits, CANARY)
        case Kind.IDENTIFIER | Kind.CODE | Kind.FREE_TEXT if item.logical == "string":
            return CANARY
        case Kind.PHONE:
            return st.builds(lambda a, b: a[:3] + b + a[3:7], digits, CANARY)
        case Kind.PERSON_NAME:
            return st.builds(
                lambda a, b: a + b, st.sampled_from(["张", "欧阳", "司", "马"]), CANARY
            )
        case Kind.ADDRESS:
            return st.builds(lambda place, house: place + house, places(division), CANARY)
        case Kind.DIVISION_CODE:
            return st.sampled_from(VILLAGES)
    match item.logical:
        case "date":
            return st.dates(date(1900, 1, 1), date(2030, 12, 31))
        case "timestamp-millis":
            times = st.datetimes(datetime(1992, 1, 1), datetime(2030, 1, 1))
            return times.map(lambda t: t.replace(microsecond=0, tzinfo=UTC))
        case "decimal":
            return st.integers(0, 900_000).map(lambda n: Decimal(n) / 100)
        case "boolean":
            return st.booleans()
        case _:
            return st.integers(0, 99)


def places(division: str) -> st.SearchStrategy[str]:
    """Beginnings of an address: the record's own place, its county alone, another place."""
    own = [one.name for one in DIVISIONS.path(division)]
    other = [one.name for one in DIVISIONS.path(VILLAGES[0])]
    return st.sampled_from(["".join(own), "".join(own[:2]), "".join(other), "镇江市新乡市"])


def twin_value(item: Item, effect: Effect, own: Any) -> st.SearchStrategy[Any]:
    """Values that the effect shows exactly as it shows `own`."""
    if own is None or effect.name in ("keep", "pseudonym"):
        return st.just(own)
    if effect.name == "drop":
        return value(item, VILLAGES[0])
    match effect.name:
        case "edges" | "partial" | "tail4":
            first = int(dict(effect.params).get("first", 0))
            return CANARY.map(lambda middle: own[:first] + middle + own[-4:])
        case "surname":
            shown = len(surname(own) or "") - 2
            return CANARY.map(lambda given: own[: max(shown, 1)] + given)
        case "street" | "county" if item.kind is Kind.ADDRESS:
            return CANARY.map(lambda house: own + house)
        case "town" | "county" | "city":
            digits = {"town": 9, "county": 6, "city": 4}[effect.name]
            return st.sampled_from([one for one in VILLAGES if one[:digits] == own[:digits]])
        case "band":
            low = max(bound for bound in BANDS if bound <= own)
            return st.integers(0, 29_999).map(lambda n: low + Decimal(n) / 100)
        case "day":
            local = own + timedelta(hours=8)
            start = local.replace(hour=0, minute=0, second=0) - timedelta(hours=8)
            return st.integers(0, 86_399).map(lambda s: start + timedelta(seconds=s))
    return _same_period(effect.name, own)


def _same_period(effect: str, own: Any) -> st.SearchStrategy[Any]:
    day = (own + timedelta(hours=8)).date() if isinstance(own, datetime) else own
    years = range(day.year // 10 * 10, day.year // 10 * 10 + 10)
    year = st.sampled_from(years) if effect == "decade" else st.just(day.year)
    month = st.just(day.month) if effect == "month" else st.integers(1, 12)
    made = st.builds(date, year, month, st.integers(1, 28))
    if isinstance(own, datetime):
        return made.map(lambda d: datetime(d.year, d.month, d.day, 4, tzinfo=UTC))
    return made
