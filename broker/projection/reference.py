"""The reference projection: a decision applied to a record, in plain Python.

Law: it defines what a share contains; the fast kernel is equal to it by test. Only
released items are looked at; an item that the record lacks is null; whatever fails is
refused with the item's name and nothing of its value. The record is never changed.
"""

from collections.abc import Mapping
from typing import Any

from broker.divisions import Divisions
from broker.errors import ProjectionError
from broker.model import Dataset
from broker.policy.model import Effect
from broker.projection.avro import Codec
from broker.projection.derive import field_name, shared_schema
from broker.projection.masks import make_mask
from broker.pseudonym import Pseudonyms

FAILURES = (
    ProjectionError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


class Projection:
    """The projection of one dataset under one set of effects, compiled once."""

    def __init__(
        self,
        dataset: Dataset,
        effects: Mapping[str, Effect],
        pseudonyms: Pseudonyms | None,
        divisions: Divisions,
    ) -> None:
        self._scope_item = dataset.scope_item
        self._codec = Codec(shared_schema(dataset, effects))
        self._steps = [
            (
                item.name,
                field_name(item.name, effects[item.name]),
                make_mask(
                    item.kind, effects[item.name], divisions=divisions, pseudonyms=pseudonyms
                ),
            )
            for item in dataset.items
            if item.name in effects and effects[item.name].name != "drop"
        ]
        unknown = effects.keys() - dataset.by_name.keys()
        if unknown:
            raise ProjectionError(f"{dataset.id} has no item {sorted(unknown)[0]!r}")

    def project(self, record: Mapping[str, Any]) -> bytes:
        """The Avro body of the record as released."""
        division = record.get(self._scope_item)
        shown: dict[str, Any] = {}
        for item, field, mask in self._steps:
            value = record.get(item)
            if value is None:
                continue
            try:
                shown[field] = mask(value, division)
            except FAILURES:
                raise unfit(item) from None
        return self._codec.encode(shown)


def unfit(item: str) -> ProjectionError:
    """The refusal of a record because of an item."""
    return ProjectionError(
        "a value is not what its kind says", where=item, mend="see the dataset's schema"
    )
