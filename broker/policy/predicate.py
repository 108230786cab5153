"""Row predicates: a small typed tree, three-valued.

Law: unknown (a null, an unreadable value) stays unknown, also under `not`; what reads
the answer decides against release. None reads a direct identifier, a birth date or free
text, but `age_under`, and that only the birth year. Age is judged by calendar year: a
person counts as under 14 until the end of the year of the 14th birthday.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from broker.errors import PolicyError
from broker.model import DIRECT_IDENTIFIERS, Dataset, Item, Kind

Value = str | int | bool | date | Decimal


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Any_:
    """Some part holds."""

    parts: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; unknown stays unknown."""

    part: "Predicate"


@dataclass(frozen=True, slots=True)
class In:
    """The item is one of the values."""

    item: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The item's text starts so."""

    item: str
    text: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """The item is null: never unknown."""

    item: str


@dataclass(frozen=True, slots=True)
class AgeUnder:
    """The person is under `years`, by calendar year; the younger where sources differ."""

    years: int
    birth_dates: tuple[str, ...]
    citizen_ids: tuple[str, ...]


Predicate = All | Any_ | Not | In | Prefix | IsNull | AgeUnder

_UNREADABLE = DIRECT_IDENTIFIERS | {
    Kind.BIRTH_DATE,
    Kind.FREE_TEXT,
    Kind.PHOTO,
    Kind.BIOMETRIC,
}


def evaluate(predicate: Predicate, record: Mapping[str, Any], year: int) -> bool | None:
    """True, false, or None for unknown."""
    match predicate:
        case All(parts):
            answers = [evaluate(part, record, year) for part in parts]
            if False in answers:
                return False
            return None if None in answers else True
        case Any_(parts):
            answers = [evaluate(part, record, year) for part in parts]
            if True in answers:
                return True
            return None if None in answers else False
        case Not(part):
            answer = evaluate(part, record, year)
            return None if answer is None else not answer
        case In(item, values):
            value = record.get(item)
            alike = [one for one in values if type(one) is type(value)]
            return value in alike if alike else None  # what is not of its type is unreadable
        case Prefix(item, text):
            value = record.get(item)
            return value.startswith(text) if isinstance(value, str) else None
        case IsNull(item):
            return record.get(item) is None
        case AgeUnder():
            return _under(predicate, record, year)


def _under(predicate: AgeUnder, record: Mapping[str, Any], year: int) -> bool | None:
    years: list[int] = []
    for name in predicate.birth_dates:
        born = record.get(name)
        if isinstance(born, date):
            years.append(born.year)
    for name in predicate.citizen_ids:
        number = record.get(name)
        if isinstance(number, str) and len(number) == 18 and number[6:10].isdecimal():
            years.append(int(number[6:10]))
    if not years:
        return None
    return year - max(years) <= predicate.years


def items_read(predicate: Predicate) -> set[str]:
    """The items whose values the predicate looks at."""
    match predicate:
        case All(parts) | Any_(parts):
            return set().union(*(items_read(part) for part in parts))
        case Not(part):
            return items_read(part)
        case In(item, _) | Prefix(item, _) | IsNull(item):
            return {item}
        case AgeUnder(_, birth_dates, citizen_ids):
            return {*birth_dates, *citizen_ids}


def age_under(dataset: Dataset, years: int, where: str = "") -> AgeUnder:
    """`age_under` over the dataset's birth dates and citizen ids."""
    births = tuple(item.name for item in dataset.of_kind(Kind.BIRTH_DATE))
    numbers = tuple(item.name for item in dataset.of_kind(Kind.CITIZEN_ID))
    if not births and not numbers:
        raise PolicyError(
            f"{dataset.id} has neither a birth date nor a citizen id",
            where=where,
            mend="age_under cannot be asked of it",
        )
    return AgeUnder(years, births, numbers)


def parse_predicate(node: Any, dataset: Dataset, where: str) -> Predicate:
    """A predicate from its YAML or JSON form, type-checked against the dataset.

    `{all: […]} {any: […]} {not: …} {eq: {item: value}} {in: {item: […]}}
    {prefix: {item: text}} {is_null: item} {age_under: years}`
    """
    if not isinstance(node, Mapping) or len(node) != 1:
        raise _wrong("a predicate has exactly one operator", where)
    ((operator, body),) = node.items()
    if operator in ("all", "any"):
        if not isinstance(body, list) or not body:
            raise _wrong(f"{operator} takes a list of predicates", where)
        parts = tuple(parse_predicate(part, dataset, where) for part in body)
        return All(parts) if operator == "all" else Any_(parts)
    if operator == "not":
        return Not(parse_predicate(body, dataset, where))
    if operator == "age_under":
        if not isinstance(body, int) or isinstance(body, bool) or not 0 < body < 150:
            raise _wrong("age_under takes a number of years", where)
        return age_under(dataset, body, where)
    if operator == "is_null":
        return IsNull(_item(body, dataset, where).name)
    if operator not in ("eq", "in", "prefix"):
        raise _wrong(f"unknown operator {operator!r}", where)
    if not isinstance(body, Mapping) or len(body) != 1:
        raise _wrong(f"{operator} takes one item and its value", where)
    ((name, value),) = body.items()
    item = _item(name, dataset, where)
    if operator == "prefix":
        if item.logical != "string" or not isinstance(value, str) or not value:
            raise _wrong(f"prefix needs a text, and {item.name} a text item", where)
        return Prefix(item.name, value)
    values = value if operator == "in" else [value]
    if not isinstance(values, list) or not values:
        raise _wrong("in takes a list of values", where)
    return In(item.name, tuple(_value(one, item, where) for one in values))


def to_json(predicate: Predicate) -> dict[str, Any]:
    """The form that `parse_predicate` reads."""
    match predicate:
        case All(parts):
            return {"all": [to_json(part) for part in parts]}
        case Any_(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
        case In(item, values):
            return {
                "in": {item: [v if isinstance(v, (bool, int, str)) else str(v) for v in values]}
            }
        case Prefix(item, text):
            return {"prefix": {item: text}}
        case IsNull(item):
            return {"is_null": item}
        case AgeUnder(years):
            return {"age_under": years}


def _item(name: Any, dataset: Dataset, where: str) -> Item:
    item = dataset.by_name.get(name) if isinstance(name, str) else None
    if item is None:
        raise _wrong(f"{dataset.id} has no item {name!r}", where)
    if item.kind in _UNREADABLE:
        raise _wrong(f"a predicate may not read {item.name} ({item.kind})", where)
    return item


def _value(value: Any, item: Item, where: str) -> Value:
    try:
        if item.logical == "string" and isinstance(value, str):
            return value
        if item.logical == "boolean" and isinstance(value, bool):
            return value
        if item.logical in ("int", "long") and type(value) is int:
            return value
        if item.logical == "date":
            return value if type(value) is date else date.fromisoformat(value)
        if item.logical == "decimal" and isinstance(value, (str, int)) and value is not True:
            number = Decimal(value)
            if number.is_finite() and value is not False:
                return number
    except (ValueError, TypeError, InvalidOperation):
        raise _wrong(f"{item.name} is a {item.logical}; the value is not", where) from None
    raise _wrong(f"{item.name} is a {item.logical}; the value is not", where)


def _wrong(what: str, where: str) -> PolicyError:
    return PolicyError(what, where=where, mend="see CONTRIBUTING.md, “Add a rule”")
