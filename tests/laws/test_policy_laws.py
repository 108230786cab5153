"""The laws of `decide`. Each counts its interesting cases and fails below a floor of 20."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.model import Kind, Level, Scope
from broker.policy.decide import decide, unguarded
from broker.policy.effects import LADDERS, at_most, meet
from broker.policy.model import DROP, RowRule
from broker.policy.predicate import All, Any_, In, Not, evaluate
from broker.policy.rows import admits
from tests.laws import worlds

FLOOR = 20
seen: Counter[str] = Counter()
EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "500"))
law = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    wanted = (
        "expired", "forbidden", "limit bound", "forbid beat relax", "guard fired",
        "order mattered not", "incomparable or equal", "unknown", "relax beaten",
        "guard added fired", "row withheld as unknown", "edges fell",
        "edges stood", "not asked", "holdings turned", "presence lowered", "rule left out",
        "rivals lifted",
    )  # fmt: skip
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies(), st.integers(1, 900))
def test_nothing_without_an_active_grant(dataset, grant, policy, days) -> None:
    ended = replace(grant, valid_until=worlds.TODAY - timedelta(days=days))
    if ended.valid_until >= ended.valid_from:
        seen["expired"] += 1
    decision = decide(ended, (), dataset, policy)
    assert set(decision.effects.values()) == {DROP} and decision.refused


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies())
def test_nothing_that_was_not_asked_for(dataset, grant, policy) -> None:
    decision = decide(grant, (), dataset, policy)
    assert set(decision.released) <= set(grant.items)
    assert set(decision.effects) == set(dataset.by_name)
    wide = decide(replace(grant, items=worlds.NAMES), (), dataset, policy)
    seen["not asked"] += bool(set(wide.released) - set(grant.items))


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies(), worlds.limits())
def test_adding_a_limit_never_discloses_more(dataset, grant, policy, limit) -> None:
    before, _ = unguarded(grant, dataset, policy)
    after, _ = unguarded(grant, dataset, replace(policy, limits=(*policy.limits, limit)))
    for item in dataset.items:
        assert at_most(item.kind, after[item.name], before[item.name])
    seen["limit bound"] += after != before


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies(), worlds.forbids())
def test_forbid_beats_relax(dataset, grant, policy, forbid) -> None:
    policy = replace(policy, relaxes=(*policy.relaxes, worlds.relax_to_keep(forbid.target)))
    grant = replace(grant, items=worlds.NAMES)
    before, reasons = unguarded(grant, dataset, policy)
    after, _ = unguarded(grant, dataset, replace(policy, forbids=(*policy.forbids, forbid)))
    for item in dataset.items:
        assert at_most(item.kind, after[item.name], before[item.name])
        if item.kind in forbid.target.kinds:
            assert after[item.name] == DROP
            seen["forbidden"] += before[item.name] != DROP
            seen["forbid beat relax"] += any(r.by == "relax" for r in reasons[item.name])


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies(), st.data())
def test_guards_never_disclose_more(dataset, grant, policy, data) -> None:
    held = data.draw(worlds.holdings(dataset))
    free, _ = unguarded(grant, dataset, policy)
    bound = decide(grant, held, dataset, policy).effects
    for item in dataset.items:
        assert at_most(item.kind, bound[item.name], free[item.name])
    seen["guard fired"] += bound != free


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies(), st.data())
def test_order_of_rules_guards_and_holdings_does_not_matter(dataset, grant, policy, data) -> None:
    held = data.draw(worlds.holdings(dataset))
    policy = replace(policy, relaxes=(*policy.relaxes, *data.draw(worlds.rivals())))
    grant = replace(grant, items=worlds.NAMES)
    shuffled = replace(
        policy,
        limits=tuple(data.draw(st.permutations(policy.limits))),
        forbids=tuple(data.draw(st.permutations(policy.forbids))),
        relaxes=tuple(data.draw(st.permutations(policy.relaxes))),
        guards=tuple(data.draw(st.permutations(policy.guards))),
    )
    one = decide(grant, held, dataset, policy)
    turned = data.draw(st.permutations(held))
    other = decide(grant, turned, dataset, shuffled)
    assert one == other, "the reasons too"
    seen["order mattered not"] += shuffled != policy
    seen["holdings turned"] += turned != held
    seen["rivals lifted"] += any(
        {"v0", "v1"} <= {reason.id for reason in reasons} for reasons in one.reasons.values()
    )


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies(), st.data())
def test_a_relax_never_beats_a_limit(dataset, grant, policy, data) -> None:
    limit = data.draw(worlds.limits())
    policy = replace(
        policy,
        limits=(*policy.limits, limit),
        relaxes=(*policy.relaxes, worlds.relax_to_keep(limit.target)),
    )
    effects, reasons = unguarded(replace(grant, items=worlds.NAMES), dataset, policy)
    for item in dataset.items:
        if item.kind in limit.target.kinds:
            assert at_most(item.kind, effects[item.name], limit.effect)
            seen["relax beaten"] += any(r.by == "relax" for r in reasons[item.name])


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies(), worlds.guards())
def test_adding_a_guard_never_discloses_more_on_items_no_other_guard_reads(
    dataset, grant, policy, guard
) -> None:
    read = {kind for one in policy.guards for test in one.when for kind in test.kinds}
    before = decide(grant, (), dataset, policy).effects
    after = decide(grant, (), dataset, replace(policy, guards=(*policy.guards, guard))).effects
    for item in dataset.items:
        if item.kind not in read:
            assert at_most(item.kind, after[item.name], before[item.name])
            seen["guard added fired"] += after[item.name] != before[item.name]


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies())
def test_edges_stand_only_where_what_they_show_is_kept(dataset, grant, policy) -> None:
    relax = worlds.relax_to_edges()
    levels = {Kind.CITIZEN_ID: Level.L4, Kind.FLAG: Level.L1}
    items = tuple(replace(one, level=levels.get(one.kind, one.level)) for one in dataset.items)
    items = tuple(
        replace(one, embeds=("flag", "code"), concept="elsewhere.id")
        if one.kind is Kind.CITIZEN_ID
        else one
        for one in items
    )
    dataset = replace(dataset, items=items, presence=Level.L1)
    grant = replace(grant, items=worlds.NAMES)
    effects = decide(grant, (), dataset, replace(policy, relaxes=(*policy.relaxes, relax))).effects
    free, _ = unguarded(grant, dataset, replace(policy, relaxes=(*policy.relaxes, relax)))
    if effects["citizen_id"].name == "edges":
        seen["edges stood"] += 1
        assert effects["flag"].name == effects["code"].name == "keep"
    seen["edges fell"] += free["citizen_id"].name == "edges" != effects["citizen_id"].name


@law
@given(worlds.datasets(), worlds.grants(), worlds.policies())
def test_the_reasons_of_an_item_are_all_that_determined_it(dataset, grant, policy) -> None:
    grant = replace(grant, items=worlds.NAMES)
    effects, reasons = unguarded(grant, dataset, policy)
    for item in dataset.items:
        named = {reason.id for reason in reasons[item.name]}
        only = replace(
            policy,
            limits=tuple(one for one in policy.limits if one.id in named),
            forbids=tuple(one for one in policy.forbids if one.id in named),
            relaxes=tuple(one for one in policy.relaxes if one.id in named),
        )
        assert unguarded(grant, dataset, only)[0][item.name] == effects[item.name]
        seen["presence lowered"] += any(
            one.presence is not None and one.id in named for one in policy.relaxes
        )
        seen["rule left out"] += only != policy


@law
@given(st.sampled_from(Kind), st.data())
def test_meet_is_a_meet(kind, data) -> None:
    a, b, c = (data.draw(st.sampled_from(LADDERS[kind])) for _ in range(3))
    assert meet(kind, a, a) == a
    assert meet(kind, a, b) == meet(kind, b, a)
    assert meet(kind, a, meet(kind, b, c)) == meet(kind, meet(kind, a, b), c)
    assert at_most(kind, meet(kind, a, b), a) and at_most(kind, meet(kind, a, b), b)
    seen["incomparable or equal"] += a == b


leaves = st.sampled_from([In("known", ("v",)), In("known", ("w",)), In("absent", ("v",))])
trees = st.recursive(
    leaves,
    lambda t: st.one_of(
        t.map(Not),
        st.lists(t, min_size=1, max_size=3).map(tuple).map(All),
        st.lists(t, min_size=1, max_size=3).map(tuple).map(Any_),
    ),
    max_leaves=8,
)


@law
@given(trees)
def test_unknown_is_settled_only_where_every_value_agrees(tree) -> None:
    answer = evaluate(tree, {"known": "v"}, 2026)
    filled = {evaluate(tree, {"known": "v", "absent": value}, 2026) for value in ("v", "w")}
    if answer is not None:
        assert filled == {answer}
    else:
        seen["unknown"] += 1
    assert evaluate(Not(tree), {"known": "v"}, 2026) is (None if answer is None else not answer)


@law
@given(trees, trees)
def test_unknown_never_releases_a_row(filtered, forbidden) -> None:
    record = {"known": "v"}
    rule = RowRule(Scope("3715"), filtered, (forbidden,))
    passes, stops = evaluate(filtered, record, 2026), evaluate(forbidden, record, 2026)
    assert admits(rule, record, 2026) is (passes is True and stops is False)
    seen["row withheld as unknown"] += passes is None or stops is None
