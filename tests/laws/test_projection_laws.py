"""The laws of the projection, each tried for every step of every kind in the catalogue.

Each (kind, step) has draws of its own, counts its interesting cases and fails below 20.
"""

import base64
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.model import Dataset, Item, Kind
from broker.policy.effects import LADDERS, parse_effect
from broker.policy.model import DROP, Effect
from broker.projection.avro import Codec
from broker.projection.derive import field_name, shared_schema
from broker.projection.masks import make_mask
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms
from tests.laws import records as r

FLOOR = 20
seen: Counter[str] = Counter()
law = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
each = settings(law, max_examples=30)
"""Draws for one (kind, step); a dozen or more of these together make one law."""

DOMAIN = Pseudonyms(b"k" * 32)
ITEMS = [(dataset, item) for dataset in r.CATALOG.datasets.values() for item in dataset.items]
STEPS = sorted({(item.kind, effect.name) for _, item in ITEMS for effect in LADDERS[item.kind][1:]})
HIDING = [one for one in STEPS if one[1] != "pseudonym"]
"""A pseudonym differs where the value does; what it withholds is in the law of canaries."""

TEXT = [one for one in STEPS if one[0] in {i.kind for _, i in ITEMS if i.logical == "string"}]
NESTING = sorted(
    (kind, finer.name, coarser.name)
    for kind, ladder in LADDERS.items()
    for finer, coarser in combinations(ladder[1:-1], 2)
    if "pseudonym" not in (finer.name, coarser.name)
)


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    masks = {effect.name for ladder in LADDERS.values() for effect in ladder} - {"keep"}
    assert {step for _, step in STEPS} == masks
    yield
    short = {name: count for name, count in seen.items() if count < FLOOR}
    assert not short, f"too few interesting cases: {short}"


def project(dataset: Dataset, effects: dict[str, Effect], record: dict[str, Any]) -> bytes:
    return Projection(dataset, effects, DOMAIN, r.DIVISIONS).project(record)


def world(
    data: st.DataObject, kind: Kind, step: str, *, text: bool = False
) -> tuple[Dataset, Item, dict[str, Effect], dict[str, Any]]:
    """(dataset, an item of the kind, effects with that item at the step, record that has it)."""
    dataset, item = data.draw(
        st.sampled_from(
            [
                (dataset, item)
                for dataset, item in ITEMS
                if item.kind is kind
                and not (text and (item.logical != "string" or item.name == dataset.scope_item))
            ]
        )
    )
    effects = data.draw(r.effects(dataset))
    effects[item.name] = parse_effect(kind, step)
    record = data.draw(r.records(dataset))
    if record[item.name] is None:
        record[item.name] = data.draw(r.value(item, record[dataset.scope_item]))
    if item.name == dataset.scope_item:  # a masked address speaks of the record's own division
        effects |= {one.name: DROP for one in dataset.of_kind(Kind.ADDRESS)}
    return dataset, item, effects, record


def twin_value(item: Item, effect: Effect, own: Any) -> st.SearchStrategy[Any]:
    """Values shown as `own` is; of an address, also with other words before the place."""
    if item.kind is Kind.ADDRESS and own is not None and effect.name in ("street", "county"):
        before = st.sampled_from(["", "山东省", "原住镇江市"]) | r.CANARY
        return st.builds(lambda a, b: a + own + b, before, r.CANARY)
    return r.twin_value(item, effect, own)


@pytest.mark.parametrize(("kind", "step"), HIDING)
@each
@given(data=st.data())
def test_what_is_hidden_does_not_interfere(kind: Kind, step: str, data: st.DataObject) -> None:
    dataset, chosen, effects, record = world(data, kind, step)
    places = [one for one in dataset.of_kind(Kind.ADDRESS) if effects[one.name] != DROP]
    twin = dict(record)
    for item in dataset.items:
        if item.name == dataset.scope_item and places:
            continue
        own = record[item.name]
        values = twin_value(item, effects[item.name], own)
        if item is chosen:
            values = values.filter(lambda value, own=own: value != own)
        twin[item.name] = data.draw(values)
    seen[f"{kind} hidden by {step}"] += twin[chosen.name] != record[chosen.name]
    assert project(dataset, effects, record) == project(dataset, effects, twin)


def long_canary(data: st.DataObject, item: str) -> str:
    """32 characters that occur by chance nowhere else."""
    number = data.draw(st.integers(0, 1 << 64))
    return r.canary(number, item) + r.canary(number, f"{item}/2")


def placed(item: Item, effect: Effect, canary: str, division: str) -> tuple[str, str]:
    """(a value that holds the canary, the part of the canary that the effect withholds)."""
    if item.kind is Kind.CITIZEN_ID:
        return f"990000{canary}1234", canary
    if item.kind is Kind.ADDRESS:
        return "".join(one.name for one in r.DIVISIONS.path(division)) + canary, canary
    match effect.name:
        case "surname":
            return canary, canary[1:]
        case "partial":
            return canary, canary[3:-4]
        case "tail4":
            return canary, canary[:-4]
    return canary, canary


def forms(text: str) -> Iterator[bytes]:
    """A text as it may stand in bytes; in base64, at each of the three offsets."""
    plain = text.encode()
    yield plain
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    for offset in range(3):
        start, end = -(-offset * 8 // 6), (offset + len(plain)) * 8 // 6
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            yield alphabet(b"\0" * offset + plain)[start:end]


@pytest.mark.parametrize(("kind", "step"), TEXT)
@each
@given(data=st.data())
def test_no_withheld_text_reaches_a_share(kind: Kind, step: str, data: st.DataObject) -> None:
    dataset, chosen, effects, record = world(data, kind, step, text=True)
    withheld: list[str] = []
    for item in dataset.items:
        effect = effects[item.name]
        if item.logical != "string" or item.name == dataset.scope_item or effect.name == "keep":
            continue
        canary = long_canary(data, item.name)
        record[item.name], hidden = placed(item, effect, canary, record[dataset.scope_item])
        assert len(hidden) >= 12
        withheld.append(hidden)
        seen[f"{kind} canary under {step}"] += item is chosen
    body = project(dataset, effects, record)
    for text in withheld:
        for form in forms(text):
            assert form not in body


@pytest.mark.parametrize(("kind", "finer", "coarser"), NESTING)
@each
@given(data=st.data())
def test_a_coarser_mask_is_a_function_of_the_finer_one(
    kind: Kind, finer: str, coarser: str, data: st.DataObject
) -> None:
    item = data.draw(st.sampled_from([item for _, item in ITEMS if item.kind is kind]))
    division = data.draw(st.sampled_from(r.VILLAGES))
    own = data.draw(r.value(item, division))
    other = data.draw(
        twin_value(item, parse_effect(kind, finer), own).filter(lambda value: value != own)
    )
    shown = [
        make_mask(kind, parse_effect(kind, step), divisions=r.DIVISIONS, pseudonyms=DOMAIN)
        for step in (finer, coarser)
    ]
    seen[f"{kind} {coarser} from {finer}"] += own != other
    for mask in shown:
        assert mask(own, division) == mask(other, division)


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
        elif effect.name != "drop" and record[name] is None:
            assert shown[field_name(name, effect)] is None
            seen["null stays null"] += 1
