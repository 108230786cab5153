"""Single points of `decide` that the laws do not name."""

from dataclasses import replace
from datetime import date

import pytest

from broker.catalog import load_catalog
from broker.model import Kind, Level, Scope
from broker.policy.decide import decide, presence_cap
from broker.policy.effects import LADDERS, loosest_of
from broker.policy.load import load_policy
from broker.policy.model import (
    DROP,
    KEEP,
    Consumer,
    Effect,
    Forbid,
    Grant,
    Limit,
    Policy,
    Relax,
    Target,
)
from broker.policy.predicate import In
from tests.city import ROOT

TODAY = date(2026, 6, 1)
CATALOG = load_catalog(ROOT / "schemas")
POLICY = load_policy([ROOT / "policies"], CATALOG, TODAY)


def grant(dataset: str, items: str, tier: Level, **more: object) -> Grant:
    return Grant(
        "g", Consumer("c", "grid", tier), dataset, tuple(items.split()), "p", "b",
        Scope("3715"), date(2026, 1, 1), date(2026, 12, 31), "i", "n", **more,
    )  # fmt: skip


def relax(dataset: str, effect: Effect | None = KEEP, *items: str, **more: object) -> Relax:
    target = Target(datasets=(dataset,), items=items)
    return Relax("r", "t", "", "", target, "", "a", "b", date(2027, 1, 1), effect, **more)


def effects(asked: Grant, policy: Policy) -> dict[str, str]:
    dataset = CATALOG.dataset(asked.dataset)
    decision = decide(asked, (), dataset, policy)
    return {name: decision.effects[name].name for name in asked.items}


SUBSIDY = "mz.disability_subsidy"
CERTIFICATE = "disability_cert_no disability_type grade division_code"


def test_a_number_is_not_kept_where_something_in_it_is_withheld() -> None:
    asked = grant(SUBSIDY, CERTIFICATE, Level.L3)
    lowered = relax(SUBSIDY, None, presence=Level.L3)
    alone = replace(POLICY, relaxes=(lowered, relax(SUBSIDY, KEEP, "disability_cert_no")))
    assert effects(asked, alone)["disability_cert_no"] == "pseudonym"
    whole = relax(SUBSIDY, KEEP, "disability_cert_no", "disability_type", "grade")
    assert effects(asked, replace(POLICY, relaxes=(lowered, whole)))["disability_cert_no"] == "keep"


def test_an_id_number_is_not_kept_where_the_birth_date_in_it_is_not() -> None:
    base = CATALOG.dataset("ga.resident_base")
    items = tuple(
        replace(one, level=Level.L4) if one.name == "birth_date" else one for one in base.items
    )
    raised = replace(base, items=items)
    decision = decide(grant(base.id, "id_no name", Level.L3), (), raised, POLICY)
    assert decision.effects["id_no"].name == "pseudonym" and decision.effects["name"] == KEEP
    assert [(r.by, r.id) for r in decision.reasons["id_no"]][-1] == ("tier", "tier.L4.T3")


@pytest.mark.parametrize(
    ("dataset", "item", "hidden"),
    [
        ("ga.residence_permit", "hukou_division", "id_no"),
        ("ga.resident_base", "birth_date", "id_no"),
        ("ga.resident_base", "sex", "id_no"),
        (SUBSIDY, "id_no", "disability_cert_no"),
    ],
)
def test_a_rule_reaches_what_contains_its_item(dataset: str, item: str, hidden: str) -> None:
    asked = grant(dataset, f"{item} {hidden}", Level.L4)
    before = effects(asked, POLICY)
    assert before[hidden] == "keep"
    rule = Forbid("f", "", "", "", Target(datasets=(dataset,), items=(item,)), "")
    after = effects(asked, replace(POLICY, forbids=(*POLICY.forbids, rule)))
    assert after == {item: "drop", hidden: "pseudonym"}


def test_every_rule_that_binds_is_named() -> None:
    target = Target(datasets=("ga.resident_base",), items=("name",))
    limits = tuple(Limit(name, "", "", "", target, "", DROP) for name in ("b", "a"))
    asked = grant("ga.resident_base", "name sex", Level.L3)
    decision = decide(asked, (), CATALOG.dataset(asked.dataset), replace(POLICY, limits=limits))
    assert [r.id for r in decision.reasons["name"]] == ["tier.L3.T3", "a", "b"]


def test_what_keeps_rows_back_is_named() -> None:
    base = CATALOG.dataset("ga.resident_base")
    asked = grant(base.id, "name status", Level.L3)
    rows = [(r.by, r.id) for r in decide(asked, (), base, POLICY).row_reasons]
    assert rows == [("forbid", "ga-cancelled-rows"), ("minors", "under_14")]
    with_minors = decide(replace(asked, minors="basis"), (), base, POLICY)
    assert [r.id for r in with_minors.row_reasons] == ["ga-cancelled-rows"]


def test_relaxes_that_do_not_compare_lift_nothing() -> None:
    kind = CATALOG.dataset("ga.resident_base").by_name["id_no"].kind
    some = [Effect("edges", (("first", f), ("last", n))) for f, n in ((6, 2), (2, 4))]
    assert loosest_of(kind, some) is None and loosest_of(kind, [*some, KEEP]) == KEEP
    assert loosest_of(kind, list(LADDERS[kind])) == KEEP
    asked = grant("ga.resident_base", "id_no", Level.L2)
    relaxes = tuple(
        replace(relax("ga.resident_base", effect, "id_no"), id=f"r{n}")
        for n, effect in enumerate(some)
    )
    assert effects(asked, replace(POLICY, relaxes=relaxes)) == {"id_no": "pseudonym"}


def test_a_filter_on_an_unknown_item_is_refused_and_not_an_accident() -> None:
    asked = grant("ga.resident_base", "name", Level.L3, filter=In("nothing", ("x",)))
    refused = decide(asked, (), CATALOG.dataset(asked.dataset), POLICY).refused
    assert refused and refused.code == "filter_publishes"


def test_where_being_in_it_is_sensitive_divisions_are_at_most_town() -> None:
    assert presence_cap(Kind.DIVISION_CODE, 1).name == "town"
    assert presence_cap(Kind.DIVISION_CODE, 0) == KEEP
    assert presence_cap(Kind.CODE, 1) == KEEP and presence_cap(Kind.CODE, 2) == DROP


@pytest.mark.parametrize(
    ("author", "approver", "effect"),
    [("one", "other", KEEP), ("one", " ONE", DROP), ("one", "", DROP), ("", "other", DROP)],
)
def test_a_relax_needs_two_persons_also_where_no_loader_looked(
    author: str, approver: str, effect: Effect
) -> None:
    lifting = replace(relax("wj.vaccination", KEEP, "overdue"), author=author, approver=approver)
    policy = replace(POLICY, relaxes=(lifting,))
    asked = grant("wj.vaccination", "overdue name", Level.L3)
    decided = decide(asked, (), CATALOG.dataset(asked.dataset), policy)
    assert decided.effects["overdue"] == effect
