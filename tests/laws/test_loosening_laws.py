"""The laws of `loosened`: what shows anybody more is found, and stricter rules are not.

Two policies are drawn as one that a hand has changed. Each law counts its interesting
cases and fails below a floor.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.model import Kind, Level
from broker.policy.decide import decide
from broker.policy.effects import LADDERS, at_most
from broker.policy.impact import changes
from broker.policy.loosening import loosened
from broker.policy.model import KEEP, Forbid, Guard, GuardCondition, Limit, Policy, Relax, Target
from broker.policy.predicate import In
from tests.laws import worlds

FLOOR = 8
seen: Counter[str] = Counter()
EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "200"))
law = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
EMBEDDED = {
    Kind.CITIZEN_ID: ("division_code", "birth_date", "flag"),
    Kind.ADDRESS: ("division_code",),
}


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    wanted = (
        "shown more", "more rows", "only tier", "only limit", "only forbid", "only rows",
        "only relax", "only presence", "only guard", "only interplay", "joined elsewhere",
        "stricter", "stricter and shown less", "said otherwise",
    )  # fmt: skip
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"


@st.composite
def datasets(draw: st.DrawFn):
    made = draw(worlds.datasets())
    if draw(st.integers(0, 2)):
        made = replace(made, presence=Level.L1)
    if draw(st.booleans()):
        return made
    items = tuple(replace(one, embeds=EMBEDDED.get(one.kind, ())) for one in made.items)
    return replace(made, items=items)


@st.composite
def narrowed(draw: st.DrawFn, target: Target) -> Target:
    """The target, for one requester alone or for all but one."""
    names = ["not_departments", "consumers", "departments", "purposes", "not_departments"]
    name = draw(st.sampled_from(names))
    one = {"consumers": "c", "departments": "d", "purposes": "p", "not_departments": "d"}[name]
    return replace(target, **{name: (draw(st.sampled_from([one, one, "another"])),)})


@st.composite
def row_forbids(draw: st.DrawFn) -> Forbid:
    rows = In("code", (draw(st.sampled_from("vw")),))
    target = Target(datasets=("x.y",))
    return Forbid(f"w{draw(st.integers(0, 99))}", "", "", "", target, "", rows)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Few rules, so that one of them is often what tells."""

    def few(strategy: st.SearchStrategy) -> tuple:
        return tuple(draw(st.lists(strategy, max_size=2, unique_by=lambda rule: rule.id)))

    return Policy(
        "v", worlds.TODAY, worlds.MASKS, few(worlds.limits()),
        (*few(worlds.forbids()), *few(row_forbids())), few(worlds.relaxes()), few(worlds.guards()),
    )  # fmt: skip


Pair = tuple[Policy, Policy]


def tier(draw: st.DrawFn, policy: Policy) -> Pair:
    """A cell of the tier table shows more, or less."""
    kind = draw(st.sampled_from([kind for kind in Kind if kind in worlds.MASKS]))
    effect = draw(st.sampled_from((KEEP, *LADDERS[kind])))
    policy = replace(policy, limits=(), forbids=())
    return policy, replace(policy, tier_mask={**policy.tier_mask, kind: effect})


@st.composite
def weaker(draw: st.DrawFn, rule: Limit | Forbid | Relax | Guard):
    """The rule, withholding (a relax: lifting) something else, or for less long."""
    match rule:
        case Limit():
            return replace(rule, effect=draw(st.sampled_from(LADDERS[rule.target.kinds[0]])))
        case Forbid():
            return replace(rule, rows=None if rule.rows else In("code", ("v",)))
        case Relax():
            return replace(rule, expires=worlds.TODAY - timedelta(days=1))
        case Guard():
            degrade = [(kind, draw(st.sampled_from(LADDERS[kind]))) for kind, _ in rule.degrade]
            return replace(rule, degrade=tuple(degrade))


def of(name: str, fresh: Callable[[], st.SearchStrategy]) -> Callable[[st.DrawFn, Policy], Pair]:
    """A rule of one sort comes or goes, or is narrowed, or another takes its place."""

    def hand(draw: st.DrawFn, policy: Policy) -> Pair:
        rules, rule = getattr(policy, name), draw(fresh())
        old, new = (*rules, rule), rules
        if isinstance(rule, Limit):
            policy = replace(policy, forbids=())
        way = draw(st.sampled_from(["gone", "narrowed", "narrowed", "another", "weaker"]))
        if way == "another":
            new = (*rules, draw(fresh()))
        elif way == "weaker":
            new = (*rules, draw(weaker(rule)))
        elif way == "narrowed" and not isinstance(rule, Guard):
            new = (*rules, replace(rule, target=draw(narrowed(rule.target))))
        if isinstance(rule, Relax) or draw(st.integers(0, 3)) == 0:
            old, new = new, old
        return replace(policy, **{name: old}), replace(policy, **{name: new})

    hand.__name__ = name
    return hand


@st.composite
def relaxes(draw: st.DrawFn) -> Relax:
    """A relax in force that lifts some kinds, or what a rule of another sort lifts too."""
    made = draw(worlds.relaxes())
    if draw(st.booleans()):
        return made
    effect = draw(st.sampled_from([KEEP, LADDERS[Kind.DATE][1]]))
    kinds = tuple(kind for kind in Kind if effect in LADDERS[kind])
    return Relax("q", "", "", "", Target(kinds=kinds), "", "a", "b", worlds.TODAY, effect)


@st.composite
def guards(draw: st.DrawFn) -> Guard:
    """A guard that asks whether something is hidden; it degrades much."""
    hidden = GuardCondition("hidden", (draw(st.sampled_from(Kind)),))
    kinds = draw(st.lists(st.sampled_from(Kind), min_size=3, unique=True))
    degrade = tuple((kind, draw(st.sampled_from(LADDERS[kind][1:]))) for kind in kinds)
    return Guard("h", "", "", "", (hidden,), degrade, "")


def levels(draw: st.DrawFn, policy: Policy) -> Pair:
    """A presence level is relaxed, or for longer, or further."""
    made = [
        Relax(
            "p", "", "", "", Target(datasets=("x.y",)), "", "a", "b",
            worlds.TODAY + timedelta(days=draw(st.integers(-1, 1))), None, draw(worlds.levels),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]  # fmt: skip
    return (
        replace(policy, relaxes=(*policy.relaxes, *made[1:])),
        replace(policy, relaxes=(*policy.relaxes, made[0])),
    )


def starved(draw: st.DrawFn, policy: Policy) -> Pair:
    """What a guard asks for is hidden."""
    guard = draw(worlds.guards())
    asked, degraded = guard.when[0].kinds[0], guard.degrade[0][0]
    test, effect = draw(st.sampled_from([("is", KEEP), ("finer_than", LADDERS[asked][1])]))
    when = replace(guard.when[0], test=test, effect=effect)
    guard = replace(guard, when=(when,), degrade=((degraded, LADDERS[degraded][-1]),))
    cap = draw(st.sampled_from(LADDERS[asked][1:]))
    limit = Limit("starves", "", "", "", Target(kinds=(asked,)), "", cap)
    lifted = tuple(worlds.relax_to_keep(Target(kinds=(kind,))) for kind in (asked, degraded))
    policy = replace(policy, guards=(guard,), relaxes=lifted, limits=(), forbids=())
    return policy, replace(policy, limits=(*policy.limits, limit))


def another(draw: st.DrawFn, policy: Policy) -> Pair:
    """Two policies that have nothing to do with each other."""
    return policy, draw(policies())


HANDS = (
    tier, of("limits", worlds.limits), of("forbids", worlds.forbids),
    of("forbids", row_forbids), of("relaxes", relaxes), of("guards", worlds.guards),
    of("guards", guards),
    levels, starved, another,
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn, dataset):
    """A grant, and what its department holds: of this dataset, or of another."""
    grant = draw(worlds.grants())
    if draw(st.integers(0, 3)):
        grant = replace(grant, items=worlds.NAMES)
    held = draw(worlds.holdings(dataset))
    if draw(st.booleans()):
        other = replace(dataset, id="x.z")
        held = [(replace(one, grant=replace(one.grant, dataset="x.z")), other) for one, _ in held]
    return grant, held


@pytest.mark.parametrize("hand", HANDS, ids=range(len(HANDS)))
@law
@given(datasets(), policies(), st.data())
def test_what_shows_anybody_more_is_found(hand, dataset, old, data) -> None:
    old, new = hand(data.draw, old)
    if hand is levels:
        dataset = replace(dataset, presence=data.draw(st.sampled_from([Level.L3, Level.L4])))
    grant, held = data.draw(requests(dataset))
    if data.draw(st.integers(0, 3)):  # one level above the tier, where the table tells
        level = Level(min(4, grant.consumer.tier + 1))
        items = tuple(replace(item, level=level) for item in dataset.items)
        dataset = replace(dataset, items=items)
        held = [(one, replace(of, items=items)) for one, of in held]
    before, after = (decide(grant, held, dataset, policy) for policy in (old, new))
    wider = [one for one in changes(before, after, dataset) if one.widens]
    shown = [effect for one, _ in held for effect in one.effects.values()]
    found = loosened(old, new, [dataset], shown)
    assert found or not wider
    seen["shown more"] += any(one.item != "*" for one in wider)
    seen["more rows"] += any(one.item == "*" for one in wider)
    if wider:
        ways = {one.how for one in found}
        seen[f"only {' '.join(ways)}"] += 1
        seen["joined elsewhere"] += bool(held) and held[0][1].id != dataset.id


@law
@given(datasets(), policies(), st.data())
def test_what_is_only_stricter_is_no_loosening(dataset, old, data) -> None:
    """Guards that ask whether something is shown are another matter: see `interplay`."""
    hiding = [one for one in old.guards if all(test.test == "hidden" for test in one.when)]
    whole = [relax for relax in old.relaxes if relax.effect == KEEP]
    old = replace(old, guards=tuple(hiding), relaxes=tuple(set(old.relaxes) - set(whole)))
    kind = data.draw(st.sampled_from(Kind))
    mask = data.draw(st.sampled_from(LADDERS[kind]))
    stricter = at_most(kind, mask, old.tier_mask.get(kind, LADDERS[kind][-1]))
    fewer = data.draw(st.lists(st.sampled_from(old.relaxes), unique=True)) if old.relaxes else []
    new = replace(
        old,
        tier_mask={**old.tier_mask, kind: mask} if stricter else old.tier_mask,
        limits=(*old.limits, *data.draw(st.lists(worlds.limits(), max_size=2))),
        forbids=(*old.forbids, *data.draw(st.lists(row_forbids(), max_size=1))),
        relaxes=tuple(one for one in old.relaxes if one not in fewer),
        guards=(*old.guards, *data.draw(st.lists(worlds.guards(), max_size=1))),
    )
    assert loosened(old, new, [dataset]) == []
    grant, held = data.draw(requests(dataset))
    before, after = (decide(grant, held, dataset, policy) for policy in (old, new))
    seen["stricter"] += new != old
    seen["stricter and shown less"] += before.effects != after.effects


@law
@given(datasets(), policies(), st.data())
def test_the_same_said_otherwise_is_no_loosening(dataset, old, data) -> None:
    """Other ids, another order, a rule split by department: nothing of that counts."""
    limits = [
        replace(one, id=f"{one.id}-{number}", target=replace(one.target, **{word: ("d",)}))
        for number, one in enumerate(old.limits)
        for word in ("departments", "not_departments")
    ]
    new = replace(
        old,
        limits=tuple(data.draw(st.permutations(limits))),
        forbids=tuple(data.draw(st.permutations(old.forbids))),
        relaxes=tuple(replace(one, id=f"{one.id}-", title="t", where="w") for one in old.relaxes),
        guards=tuple(replace(one, id="g", where="w") for one in reversed(old.guards)),
    )
    calm = replace(old, guards=()), replace(new, guards=())
    assert loosened(*calm, [dataset]) == []
    assert loosened(replace(old, limits=()), replace(new, limits=()), [dataset]) == []
    seen["said otherwise"] += bool(limits)
