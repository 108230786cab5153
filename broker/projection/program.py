"""The projection program: a writer's schema and the shares' effects as flat operations.

Law: it says item by item what the reference does. For what it has no operation it carries the
reference's own mask; of a schema with a type that it does not know no program is made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from io import BytesIO
from typing import Any, NamedTuple

import fastavro

from broker.divisions import DIGITS, Divisions
from broker.model import Dataset, Item, Kind, Schema
from broker.policy.model import Effect
from broker.projection.avro import Codec
from broker.projection.derive import field_name, shared_schema
from broker.projection.masks import BANDS, COMPOUND, STARS, make_mask
from broker.projection.reference import FAILURES, unfit
from broker.pseudonym import Pseudonyms

VERSION = 1
"""What the kernel was built for: another one is not used."""

LONGEST_NUMBER = 18
"""Digits of a decimal that fits 64 bits whatever they are."""

MOST_SHOWN = (1 << 31) - 1
"""Characters that a step can show at either end: what the kernel's number holds."""

Raw = Callable[[bytes, str | None], bytes]
"""(the Avro bytes of a value that is not null, the record's division) → the field of the share."""


class Type(IntEnum):
    """What stands in a field of the source."""

    BOOLEAN = 0
    INT = 1
    LONG = 2
    FLOAT = 3
    DOUBLE = 4
    STRING = 5
    BYTES = 6
    DATE = 7
    MILLIS = 8
    MICROS = 9
    DECIMAL = 10


class By(IntEnum):
    """By what of its value a record is judged: all of it, the year of a date, the year within a
    citizen's number."""

    WHOLE = 0
    BIRTH = 1
    NUMBER = 2


class Op(IntEnum):
    """What becomes of it in a share."""

    NULL = 0
    KEEP = 1
    PSEUDONYM = 2
    ENDS = 3
    SURNAME = 4
    BAND = 5
    ADDRESS = 6
    DIVISION = 7
    DAY = 8
    MONTH = 9
    YEAR = 10
    DECADE = 11
    OTHER = 12


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the source: which branch of its union is null (-1: none), digits of a decimal."""

    name: str
    type: Type
    null: int
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A field of a share: from which field of the source (-1: it has none), by which operation.

    `first` and `last` are characters shown, or digits of a division; `text` what stands between,
    or the digits' tier; `other` is the reference, for whatever the operation leaves to it.
    """

    item: str
    source: int
    op: Op
    first: int = 0
    last: int = 0
    text: str = ""
    other: Raw | None = None
    pseudonyms: Pseudonyms | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """What shares with equal effects have in common: what stands before the value's fields, and
    how each of them comes about."""

    head: bytes
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Program:
    """Of one writer's schema: its fields, which of them is the division, what shares make of them,
    which fields rules read, and what masks look up."""

    fields: Sequence[Field]
    scope: int
    templates: Sequence[Template]
    row: Sequence[tuple[int, By]]
    place: Callable[[str], tuple[str, str, str, str] | None]
    digits: Callable[[str], int]
    bands: Sequence[int] = field(default=BANDS)
    compounds: frozenset[str] = field(default=COMPOUND)


class Shown(NamedTuple):
    """How a record is shown: item by item, in which domain of pseudonyms, behind which head."""

    effects: Mapping[str, Effect]
    pseudonyms: Pseudonyms | None
    head: bytes = b""


_PLAIN = {
    "boolean": Type.BOOLEAN,
    "int": Type.INT,
    "long": Type.LONG,
    "float": Type.FLOAT,
    "double": Type.DOUBLE,
    "string": Type.STRING,
    "bytes": Type.BYTES,
}
_LOGICAL = {
    ("int", "date"): Type.DATE,
    ("long", "timestamp-millis"): Type.MILLIS,
    ("long", "timestamp-micros"): Type.MICROS,
    ("bytes", "decimal"): Type.DECIMAL,
}
_MOMENTS = (Type.DATE, Type.MILLIS, Type.MICROS)
_TEXT_OPS = {
    "pseudonym": Op.PSEUDONYM,
    "edges": Op.ENDS,
    "partial": Op.ENDS,
    "tail4": Op.ENDS,
    "surname": Op.SURNAME,
}
_MOMENT_OPS = {"day": Op.DAY, "month": Op.MONTH, "year": Op.YEAR, "decade": Op.DECADE}


def compile_program(
    writer: Schema,
    dataset: Dataset,
    templates: Sequence[Shown],
    row: Mapping[str, By],
    divisions: Divisions,
) -> Program | None:
    """The program for records of this writer and these shares' effects, `row` being the items
    that rules read; None where the writer has a type that it does not know."""
    fields = [_field(one) for one in writer["fields"]]
    known = [one for one in fields if one is not None]
    if len(known) != len(fields):
        return None
    places = {one.name: number for number, one in enumerate(known)}
    scope = places.get(dataset.scope_item, -1)
    if scope >= 0 and known[scope].type is not Type.STRING:
        return None
    types = {one["name"]: one["type"] for one in writer["fields"]}
    return Program(
        known,
        scope,
        [
            Template(
                one.head,
                [
                    _step(item, one, known, places, types, dataset, divisions)
                    for item in dataset.items
                    if item.name in one.effects and one.effects[item.name].name != "drop"
                ],
            )
            for one in templates
        ],
        [
            (places[name], _by(by, known[places[name]]))
            for name, by in row.items()
            if name in places
        ],
        lambda code: _place(code, divisions),
        lambda code: _digits(code, divisions),
    )


def _field(avro: Schema) -> Field | None:
    kind, null = avro["type"], -1
    if isinstance(kind, list):
        if len(kind) != 2 or "null" not in kind:
            return None
        null = kind.index("null")
        kind = kind[1 - null]
    if isinstance(kind, str):
        return Field(avro["name"], _PLAIN[kind], null) if kind in _PLAIN else None
    found = _LOGICAL.get((kind["type"], kind.get("logicalType")))
    precision, scale = kind.get("precision", 0), kind.get("scale", 0)
    if found is None or (found is Type.DECIMAL and not 0 < precision <= LONGEST_NUMBER):
        return None
    return Field(avro["name"], found, null, precision, scale)


def _step(
    item: Item,
    share: Shown,
    fields: Sequence[Field],
    places: Mapping[str, int],
    types: Mapping[str, Any],
    dataset: Dataset,
    divisions: Divisions,
) -> Step:
    effect = share.effects[item.name]
    mask = make_mask(item.kind, effect, divisions=divisions, pseudonyms=share.pseudonyms)
    number = places.get(item.name, -1)
    if number < 0:
        return Step(item.name, -1, Op.NULL)
    codec = Codec(shared_schema(dataset, {item.name: effect}))
    shown = field_name(item.name, effect)
    source = fields[number]
    avro = types[item.name]
    plain = avro if source.null < 0 else avro[1 - source.null]
    read = value_reader(avro)

    def other(raw: bytes, division: str | None) -> bytes:
        try:
            masked = mask(read(raw), division)
        except FAILURES:
            raise unfit(item.name) from None
        return codec.encode({shown: masked})

    op, first, last, text = _op(item, effect, source, plain)
    return Step(item.name, number, op, first, last, text, other, share.pseudonyms)


def _op(item: Item, effect: Effect, source: Field, plain: Any) -> tuple[Op, int, int, str]:
    """The operation with its parameters; OTHER where the reference does it."""
    name, params = effect.name, dict(effect.params)
    if name == "keep":
        return (Op.KEEP if plain == item.avro else Op.OTHER), 0, 0, ""
    if source.type is Type.STRING:
        if item.kind is Kind.ADDRESS and name in ("street", "county"):
            return Op.ADDRESS, int(name == "street"), 0, ""
        if name in ("town", "county", "city"):
            return Op.DIVISION, DIGITS[name], 0, ""
        if name in _TEXT_OPS:
            first, last = int(params.get("first", 0)), int(params.get("last", 4))
            if max(first, last) > MOST_SHOWN:
                return Op.OTHER, 0, 0, ""
            return _TEXT_OPS[name], first, last, STARS.get(name, "")
    if name == "band" and source.type is Type.DECIMAL:
        return Op.BAND, 0, 0, ""
    if name in _MOMENT_OPS and source.type in _MOMENTS:
        return _MOMENT_OPS[name], 0, 0, ""
    return Op.OTHER, 0, 0, ""


def value_reader(avro: Any) -> Callable[[bytes], Any]:
    """Reads a value that is not null of a field with this type, from its bytes without the branch
    of a union."""
    plain = next(one for one in avro if one != "null") if isinstance(avro, list) else avro
    schema = fastavro.parse_schema(plain)
    return lambda raw: fastavro.schemaless_reader(BytesIO(raw), schema, None)


def _by(by: By, source: Field) -> By:
    """The same, where the field has it."""
    fits = {By.BIRTH: Type.DATE, By.NUMBER: Type.STRING}
    return by if fits.get(by, source.type) is source.type else By.WHOLE


def _place(code: str, divisions: Divisions) -> tuple[str, str, str, str] | None:
    """Of a division: its county's name, its county's and town's, and what is shown of an address
    for the county and for both; empty where it has none. None where it has no county."""
    path = divisions.path(code)
    names = {one.tier: one.name for one in path}
    if "county" not in names:
        return None
    wide = "".join(one.name for one in path if DIGITS[one.tier] <= DIGITS["county"])
    town = names.get("town")
    both = names["county"] + town if town is not None else ""
    return names["county"], both, wide, wide + town if town is not None else ""


def _digits(code: str, divisions: Divisions) -> int:
    """How many digits of a code tell something; 0 where the table has no such division."""
    own = divisions.get(code)
    return DIGITS[own.tier] if own else 0
