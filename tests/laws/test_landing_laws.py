"""A batch lands by the kernel as by the reference: the same values under the same keys in the same
order, the same tombstones, the same holders, the same records set aside.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.errors import RegistryError
from broker.log.interface import Entries, Page
from broker.model import Dataset, Scope
from broker.policy.effects import Effect
from broker.policy.model import RowRule
from broker.policy.predicate import AgeUnder, Not, Prefix
from broker.projection.avro import Codec
from broker.projection.derive import shared_schema
from broker.registry import unframe
from broker.relay.landing import Lander, Landing
from broker.relay.membership import Shares
from broker.relay.plan import Plan
from broker.seal import Sealer
from broker.sharing.share import Share
from tests.kernel import needs_kernel
from tests.laws import records as r

needs_kernel()

EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "400"))
FLOOR = 20
WRITER, UNKNOWN = 7, 8
YEAR = 2026
seen: Counter[str] = Counter()
OTHERS = (frozenset({"opening"}), frozenset({"opening"}), frozenset[str]())
DATASET = r.CATALOG.datasets["ga.resident_base"]
PERMITS = r.CATALOG.datasets["ga.residence_permit"]
IN_TOWN = Prefix("division_code", r.VILLAGES[0][:9])
PLACES = r.VILLAGES[:2] + r.VILLAGES[-2:]


class Keys:
    """A keyring with every key."""

    def key(self, name: str) -> bytes:
        return name.encode().ljust(32, b"\0")[:32]


class Schemas:
    """A registry that knows one schema."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def schema(self, schema_id: int) -> Any:
        if schema_id != WRITER:
            raise RegistryError("unknown", mend="none")
        return self._dataset.schema


@dataclass
class Held:
    """A membership that is only asked."""

    shares: dict[bytes, Shares]
    told: list[Any] = field(default_factory=list)

    def held(self, keys: Collection[bytes]) -> dict[bytes, Shares]:
        return self.shares

    def changes(self, moved: Mapping[bytes, Shares]) -> list[Entries]:
        return []


@dataclass
class Case:
    """Shares, a page of records of a dataset, who holds which key, and what a pass does."""

    dataset: Dataset
    shares: list[Share]
    page: Page
    held: dict[bytes, Shares]
    mine: Shares | None
    others: Shares
    again: bool


sealer = Sealer(Keys())  # type: ignore[arg-type]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dataset = draw(st.sampled_from([DATASET, PERMITS]))
    # few ways to be shown, so that shares have them in common
    shown = [draw(r.effects(dataset)) for _ in range(draw(st.integers(1, 2)))]
    shares = [_share(draw, dataset, shown, f"s{n}") for n in range(draw(st.integers(1, 5)))]
    codec = Codec(dataset.schema)
    keys, values = list[bytes](), list[bytes | None]()
    for _ in range(draw(st.integers(0, 8))):
        key = draw(st.sampled_from([bytes([n]) * 16 for n in range(6)]))
        keys.append(key)
        values.append(_sealed(draw, dataset, codec, key))
    names = [share.id for share in shares] + ["closed"]
    some = st.frozensets(st.sampled_from(names))
    held = draw(st.dictionaries(st.sampled_from([bytes([n]) * 16 for n in range(6)]), some))
    # a catch-up now and then; else mostly beside one, which is what carries a holder over
    mine = draw(some) if draw(st.integers(0, 3)) == 0 else None
    others = draw(st.sampled_from(OTHERS)) if mine is None else frozenset()
    held = {key: shares | others if draw(st.booleans()) else shares for key, shares in held.items()}
    page = Page(range(len(keys)), keys, values)
    return Case(dataset, shares, page, held, mine, others, draw(st.booleans()))


def _share(draw: st.DrawFn, dataset: Dataset, shown: list[dict[str, Effect]], name: str) -> Share:
    found = draw(st.sampled_from(shown)).items()
    released = {item: effect for item, effect in found if effect.name != "drop"}
    scope = draw(st.sampled_from(PLACES))[: draw(st.sampled_from([0, 0, 2, 4, 6, 9, 12]))]
    births = tuple(one.name for one in dataset.items if one.kind == "birth_date")
    numbers = tuple(one.name for one in dataset.items if one.kind == "citizen_id")
    minors = AgeUnder(draw(st.sampled_from([14, 60])), births, numbers)
    rows = RowRule(
        Scope(scope),
        draw(st.none() | st.sampled_from([IN_TOWN, Not(IN_TOWN)])),
        draw(st.sampled_from([(), (minors,)])),
    )
    schema = shared_schema(dataset, released)
    domain, schema_id = draw(st.sampled_from("ab")), draw(st.sampled_from([40, 41]))
    return Share(name, dataset.id, released, rows, domain, schema_id, schema, "LIVE")


def _sealed(draw: st.DrawFn, dataset: Dataset, codec: Codec, key: bytes) -> bytes | None:
    how = draw(
        st.sampled_from([*["plain"] * 10, "tombstone", "spoilt", "cut", "schema", "division"])
    )
    seen[how] += 1
    if how == "tombstone":
        return None
    record = draw(r.records(dataset))
    record[dataset.scope_item] = draw(st.sampled_from(PLACES))
    if how == "division":
        record[dataset.scope_item] = draw(st.sampled_from(["999999999999", "3"]))
    body = codec.encode(record)
    if how == "cut":
        body = body[: draw(st.integers(0, len(body) - 1))]
    schema = UNKNOWN if how == "schema" else WRITER
    sealed = sealer.seal(dataset.collected_topic, key, schema, body)
    return sealed[:-1] + bytes([sealed[-1] ^ 1]) if how == "spoilt" else sealed


def landed(case: Case, *, reference: bool) -> Landing:
    plan = Plan(
        case.dataset,
        case.shares,
        divisions=r.DIVISIONS,
        keyring=Keys(),  # type: ignore[arg-type]
        registry=Schemas(case.dataset),  # type: ignore[arg-type]
        reference=reference,
    )
    lander = Lander(case.dataset, 0, sealer, Held(case.held))  # type: ignore[arg-type]
    return lander.land(case.page, plan, plan.task(case.mine, case.others, YEAR, case.again))


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    short = {name: count for name, count in seen.items() if count < FLOOR}
    assert not short, f"too few interesting cases: {short}"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_a_batch_lands_by_the_kernel_as_by_the_reference(case: Case) -> None:
    fast, slow = landed(case, reference=False), landed(case, reference=True)
    assert fast.batch.runs == slow.batch.runs
    assert fast.moved == slow.moved
    assert fast.progress == slow.progress
    aside = [sorted((one.topic, one.key) for one in each.batch.appends) for each in (fast, slow)]
    assert aside[0] == aside[1]
    seen["written"] += bool(fast.progress.written)
    seen["tombstones"] += bool(fast.progress.tombstones)
    seen["moved"] += bool(fast.moved)
    seen["carried over"] += any(case.others & after for after in fast.moved.values())
    seen["set aside"] += bool(fast.batch.appends)
    seen["two versions"] += len(set(case.page.keys)) < len(case.page.keys)
    topics = {run.topic for run in fast.batch.runs}
    schemas = {share.topic: share.schema_id for share in case.shares}
    for run in fast.batch.runs:
        assert list(run.keys) == sorted(run.keys)
        read = {unframe(value)[0] for value in run.values if value is not None}
        assert read <= {schemas[run.topic]}, "a value is read by its own share's schema"
    schemas_of: dict[object, set[int]] = defaultdict(set)
    for share in case.shares:
        if share.topic in topics:
            schemas_of[share.domain, str(share.effects)].add(share.schema_id)
    seen["shown alike by two schemas"] += any(len(one) > 1 for one in schemas_of.values())
