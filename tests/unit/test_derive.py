"""The schema of a share: nullable fields only, a mask under a name of its own."""

import json

from broker.policy.effects import parse_effect
from broker.projection.derive import shared_schema
from tests.laws.records import CATALOG

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


def test_no_classification_stands_in_a_shared_schema() -> None:
    text = json.dumps(schema(id_no="keep", hukou_addr="street", updated_at="day"))
    for word in ("level", "kind", "title", "concept", "L3"):
        assert f'"{word}"' not in text
