"""The schema of a share, derived from its decision, never written by hand.

Law: a kept item stands under its own name, a masked one under `<item>__<effect>`, a
dropped one is absent; every field is nullable with default null. So a change of policy
only adds or removes nullable fields, and no mask can be read as a value.
"""

from collections.abc import Mapping

from broker.model import Dataset, Item, Schema
from broker.policy.model import Effect

_DATE: Schema = {"type": "int", "logicalType": "date"}
_MASKED: dict[str, str | Schema] = {"year": "int", "decade": "int", "day": _DATE}


def field_name(item: str, effect: Effect) -> str:
    """The field that an item stands under."""
    return item if effect.name == "keep" else f"{item}__{effect.name}"


def shared_schema(dataset: Dataset, effects: Mapping[str, Effect]) -> Schema:
    """The Avro schema of a share with these effects; fields in the dataset's order."""
    return {
        "type": "record",
        "name": dataset.name,
        "namespace": f"shuqiao.shared.{dataset.department}",
        "fields": [
            {
                "name": field_name(item.name, effects[item.name]),
                "type": ["null", _type(item, effects[item.name])],
                "default": None,
            }
            for item in dataset.items
            if item.name in effects and effects[item.name].name != "drop"
        ],
    }


def _type(item: Item, effect: Effect) -> str | Schema:
    return item.avro if effect.name == "keep" else _MASKED.get(effect.name, "string")
