"""The laws of the projection. Each counts its interesting cases; floor 20 for each."""

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.model import Dataset, Kind
from broker.policy.effects import LADDERS
from broker.policy.model import Effect
from broker.projection.avro import Codec
from broker.projection.derive import field_name, shared_schema
from broker.projection.masks import make_mask
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms
from tests.laws import records as r

FLOOR = 20
seen: Counter[str] = Counter()
law = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
DOMAIN = Pseudonyms(b"k" * 32)
MASKS = sorted({effect.name for ladder in LADDERS.values() for effect in ladder} - {"keep"})


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    wanted = [f"hidden by {name}" for name in MASKS if name != "pseudonym"]
    wanted += [f"canary under {name}" for name in MASKS if name not in NO_TEXT]
    wanted += [f"coarser {name}" for name in ("decade", "year", "month", "county", "city")]
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"


NO_TEXT = ("band", "town", "city", "day", "month", "year", "decade")
"""Masks of items that hold no free text; their hidden parts are below in non-interference."""


def project(dataset: Dataset, effects: dict[str, Effect], record: dict[str, Any]) -> bytes:
    return Projection(dataset, effects, DOMAIN, r.DIVISIONS).project(record)


@law
@given(st.data())
def test_what_is_hidden_does_not_interfere(data: st.DataObject) -> None:
    dataset = data.draw(r.datasets)
    effects = data.draw(r.effects(dataset))
    record = data.draw(r.records(dataset))
    places = [one for one in dataset.of_kind(Kind.ADDRESS) if effects[one.name].name != "drop"]
    twin = dict(record)
    for item in dataset.items:
        effect = effects[item.name]
        if item.name == dataset.scope_item and places:
            continue  # a masked address speaks of the record's own division
        twin[item.name] = data.draw(r.twin_value(item, effect, record[item.name]))
        if twin[item.name] != record[item.name]:
            seen[f"hidden by {effect.name}"] += 1
    assert project(dataset, effects, record) == project(dataset, effects, twin)


@law
@given(st.data())
def test_no_withheld_text_reaches_a_share(data: st.DataObject) -> None:
    dataset = data.draw(r.datasets)
    effects = data.draw(r.effects(dataset))
    record = data.draw(r.records(dataset))
    canaries: list[str] = []
    for item in dataset.items:
        effect = effects[item.name]
        if item.logical != "string" or item.name == dataset.scope_item or effect.name == "keep":
            continue
        if item.kind is Kind.DIVISION_CODE:
            continue
        canary = r.canary(data.draw(st.integers(0, 1 << 64)), item.name)
        record[item.name] = f"990000{canary}1234" if item.kind is Kind.CITIZEN_ID else canary
        if item.kind is Kind.ADDRESS:
            path = r.DIVISIONS.path(record[dataset.scope_item])
            record[item.name] = "".join(one.name for one in path) + canary
        first = int(dict(effect.params).get("first", 0))
        hides = canary if item.kind in (Kind.CITIZEN_ID, Kind.ADDRESS) else canary[first:]
        hides = hides[1:] if effect.name == "surname" else hides
        hides = hides[:-4] if effect.name in ("partial", "tail4") else hides
        if len(hides) >= 8:
            canaries.append(hides)
            seen[f"canary under {effect.name}"] += 1
    body = project(dataset, effects, record)
    for canary in canaries:
        plain = canary.encode()
        for form in (
            plain,
            plain.hex().encode(),
            base64.b64encode(plain)[:-4],
            canary.encode("utf-16-le"),
            canary.encode("utf-16-be"),
        ):
            assert form not in body


@settings(law, max_examples=1500)
@given(st.data())
def test_a_coarser_mask_is_a_function_of_the_finer_one(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([Kind.BIRTH_DATE, Kind.DATE_TIME, Kind.DIVISION_CODE]))
    dataset = r.CATALOG.dataset("ga.residence_permit")
    item = dataset.of_kind(kind)[0]
    steps = [effect for effect in LADDERS[kind] if effect.name not in ("keep", "drop")]
    finer, coarser = sorted(data.draw(st.sets(st.sampled_from(range(len(steps))), min_size=2,
                                              max_size=2)))  # fmt: skip
    own = data.draw(r.value(item, r.VILLAGES[0]))
    other = data.draw(r.twin_value(item, steps[finer], own))
    mask = make_mask(kind, steps[coarser], divisions=r.DIVISIONS, pseudonyms=DOMAIN)
    seen[f"coarser {steps[coarser].name}"] += own != other
    assert mask(own, None) == mask(other, None)


@law
@given(st.data())
def test_a_share_holds_the_released_fields_and_no_other(data: st.DataObject) -> None:
    dataset = data.draw(r.datasets)
    effects = data.draw(r.effects(dataset))
    record = data.draw(r.records(dataset))
    before = dict(record)
    shown = Codec(shared_schema(dataset, effects)).decode(project(dataset, effects, record))
    assert record == before
    assert set(shown) == {
        field_name(name, effect) for name, effect in effects.items() if effect.name != "drop"
    }
    for name, effect in effects.items():
        if effect.name == "keep":
            assert shown[name] == record[name]
