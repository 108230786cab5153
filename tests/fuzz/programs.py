"""The programs that are fuzzed: of each of the six datasets, of every type, of every mask, and of
items that are of another type than their kind usually is.

Law: the list is fixed, and each has a name, so that an input of last year means the same today.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from broker.model import Dataset, Kind
from broker.policy.effects import LADDERS
from broker.policy.model import Effect
from broker.projection.program import By
from tests.laws import records as r
from tests.laws.both import World

DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


TYPES = (
    "boolean", "int", "long", "float", "double", "string", "bytes", DATE, MILLIS, MICROS,
    decimal(1, 0), decimal(5, 2), decimal(9, 9), decimal(18, 0), decimal(18, 17),
)  # fmt: skip
USUAL = {
    Kind.BIRTH_DATE: DATE,
    Kind.DATE: DATE,
    Kind.DATE_TIME: MILLIS,
    Kind.AMOUNT: decimal(12, 2),
}
BASE = next(iter(r.CATALOG.datasets.values()))


@cache
def programs() -> Mapping[str, World]:
    """Every program by its name."""
    found = {name: _of(r.CATALOG.dataset(name)) for name in sorted(r.CATALOG.datasets)}
    every = [(kind, USUAL.get(kind, "string")) for kind in Kind]
    found["types"] = _made([(Kind.CODE, avro) for avro in TYPES], "first")
    found["types_null_last"] = _made([(Kind.CODE, avro) for avro in TYPES], "last")
    found["types_never_null"] = _made([(Kind.CODE, avro) for avro in TYPES], "plain")
    found["masks"] = _made(every, "plain")
    found["masks_null_first"] = _made(every, "first")
    found["masks_null_last"] = _made(every, "last")
    found["moments"] = _made([(Kind.DATE_TIME, avro) for avro in (MICROS, MILLIS, DATE)], "first")
    found["amounts"] = _made([(Kind.AMOUNT, decimal(n, n // 2)) for n in range(1, 19)], "plain")
    odd = [(kind, avro) for kind in (Kind.AMOUNT, Kind.PHONE) for avro in ("int", "bytes", DATE)]
    found["odd"] = _made(odd, "first")
    return found


def _made(items: list[tuple[Kind, Any]], form: str) -> World:
    made = [
        replace(
            BASE.items[0], name=f"i{number}", kind=kind, avro=avro, required=False, embeds=(),
            concept=f"i{number}",
        )
        for number, (kind, avro) in enumerate([*items, (Kind.DIVISION_CODE, "string")])
    ]  # fmt: skip
    scope = made[-1].name
    dataset = replace(BASE, items=tuple(made), scope_item=scope, primary_key=(scope,))
    forms = {
        "plain": lambda avro: avro,
        "first": lambda avro: ["null", avro],
        "last": lambda avro: [avro, "null"],
    }
    fields = [{"name": one.name, "type": forms[form](one.avro)} for one in made]
    return _of(dataset, {"type": "record", "name": "w", "fields": fields})


def _of(dataset: Dataset, writer: dict[str, Any] | None = None) -> World:
    """Every effect of every item is in one of the templates, beside others' in each."""
    most = max(len(LADDERS[item.kind]) for item in dataset.items)
    templates: list[dict[str, Effect]] = [
        {
            item.name: LADDERS[item.kind][(turn + place) % len(LADDERS[item.kind])]
            for place, item in enumerate(dataset.items)
        }
        for turn in range(most)
    ]
    row = {
        item.name: {Kind.BIRTH_DATE: By.BIRTH, Kind.CITIZEN_ID: By.NUMBER}.get(item.kind, By.WHOLE)
        for item in dataset.items
        if item.kind in (Kind.BIRTH_DATE, Kind.CITIZEN_ID, Kind.CODE, Kind.AMOUNT)
    }
    return World(dataset, dict(writer or dataset.schema), templates, row)
