"""The schema of a share: nullable fields only, a mask under a name of its own."""

import json
from datetime import date, datetime
from typing import Any

import pytest

from broker.errors import ProjectionError
from broker.policy.effects import LADDERS, parse_effect
from broker.policy.model import Effect
from broker.projection.avro import Codec
from broker.projection.derive import field_name, shared_schema
from broker.projection.reference import Projection
from tests.laws.records import CATALOG, DIVISIONS

DATASET = CATALOG.dataset("ga.resident_base")


def schema(**effects: str) -> dict[str, object]:
    chosen = {n: parse_effect(DATASET.by_name[n].kind, e) for n, e in effects.items()}
    return shared_schema(DATASET, chosen)


def test_a_mask_stands_under_its_own_field_and_a_dropped_item_nowhere() -> None:
    found = schema(birth_date="year", id_no="pseudonym", sex="keep", name="drop")
    assert found == {
        "type": "record",
        "name": "resident_base",
        "namespace": "shuqiao.shared.ga",
        "fields": [
            {"name": "id_no__pseudonym", "type": ["null", "string"], "default": None},
            {"name": "sex", "type": ["null", "string"], "default": None},
            {"name": "birth_date__year", "type": ["null", "int"], "default": None},
        ],
    }


def test_the_order_of_fields_is_the_dataset_s_whatever_the_order_of_effects() -> None:
    one = schema(name="surname", id_no="keep", updated_at="day", birth_date="decade")
    assert one == schema(birth_date="decade", updated_at="day", id_no="keep", name="surname")
    assert [field["name"] for field in one["fields"]] == [  # type: ignore[attr-defined]
        "id_no", "name__surname", "birth_date__decade", "updated_at__day",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(CATALOG.datasets))
def test_every_step_of_every_item_has_a_schema_of_nullable_fields(name: str) -> None:
    dataset = CATALOG.dataset(name)
    for item in dataset.items:
        for effect in LADDERS[item.kind][:-1]:
            found = shared_schema(dataset, {item.name: effect})
            (field,) = found["fields"]
            assert field["name"] == field_name(item.name, effect)
            assert field["type"][0] == "null" and field["default"] is None
            assert Codec(found).decode(b"\0") == {field["name"]: None}


@pytest.mark.parametrize(
    ("item", "effect"),
    [
        ("sex", Effect("year")),
        ("sex", Effect("unheard_of")),
        ("name", Effect("surname", (("first", 1),))),
        ("id_no", Effect("pseudonym")),
        ("nowhere", Effect("keep")),
        ("nowhere", Effect("drop")),
    ],
)
def test_a_projection_that_cannot_be_made_is_refused_at_once(item: str, effect: Effect) -> None:
    with pytest.raises(ProjectionError):
        Projection(DATASET, {item: effect}, None, DIVISIONS)


@pytest.mark.parametrize(
    ("item", "effect", "value"),
    [
        ("birth_date", "year", "SECRET"),
        ("updated_at", "day", datetime(2026, 1, 1)),
        ("updated_at", "year", date(2026, 1, 1).isoformat()),
        ("name", "surname", ["SECRET"]),
        ("hukou_addr", "street", 7),
        ("sex", "keep", 7),
        ("sex", "keep", "\udcff"),
    ],
)
def test_a_value_that_cannot_be_masked_is_refused_with_its_item(
    item: str, effect: str, value: Any
) -> None:
    chosen = {item: parse_effect(DATASET.by_name[item].kind, effect)}
    record = {"division_code": "371502001001", item: value}
    with pytest.raises(ProjectionError) as error:
        Projection(DATASET, chosen, None, DIVISIONS).project(record)
    assert error.value.where == item and "SECRET" not in str(error.value)


def test_what_a_record_lacks_is_null_and_what_has_no_effect_is_absent() -> None:
    chosen = {"sex": Effect("keep"), "name": Effect("surname"), "id_no": Effect("drop")}
    body = Projection(DATASET, chosen, None, DIVISIONS).project({"name": None, "id_no": "x"})
    shown = Codec(shared_schema(DATASET, chosen)).decode(body)
    assert shown == {"name__surname": None, "sex": None}


def test_no_classification_stands_in_a_shared_schema() -> None:
    text = json.dumps(schema(id_no="keep", hukou_addr="street", updated_at="day"))
    for word in ("level", "kind", "title", "concept", "L3"):
        assert f'"{word}"' not in text
