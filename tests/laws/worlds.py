"""Random grants, rules and guards over one dataset with an item of every kind."""

from datetime import date

from hypothesis import strategies as st

from broker.model import Dataset, Item, Kind, Level, Scope, Sharing
from broker.policy.effects import LADDERS
from broker.policy.model import (
    KEEP,
    Consumer,
    Forbid,
    Grant,
    Guard,
    GuardCondition,
    Holding,
    Limit,
    Policy,
    Relax,
    Target,
)

TODAY = date(2026, 6, 1)
KINDS = tuple(Kind)
NAMES = tuple(kind.value for kind in KINDS)
TIER_MASK = {
    Kind.CITIZEN_ID: "pseudonym",
    Kind.PERSON_NAME: "surname",
    Kind.PHONE: "partial",
    Kind.ADDRESS: "street",
    Kind.DIVISION_CODE: "town",
    Kind.BIRTH_DATE: "year",
    Kind.DATE: "year",
    Kind.DATE_TIME: "day",
    Kind.AMOUNT: "band",
    Kind.IDENTIFIER: "pseudonym",
}
MASKS = {
    kind: next(effect for effect in LADDERS[kind] if effect.name == name)
    for kind, name in TIER_MASK.items()
}
levels = st.sampled_from(Level)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    items = tuple(Item(k.value, k.value, k, draw(levels), "string", False, k.value) for k in KINDS)
    return Dataset(
        "x.y", "x", "y", "y", items, ("citizen_id",), 1, draw(levels), "division_code",
        "none", Sharing.CONDITIONAL, "", {}, {},
    )  # fmt: skip


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    asked = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=8))
    return Grant(
        "g", Consumer("c", "d", draw(levels)), "x.y", tuple(asked), "p", "b",
        Scope("3715"), date(2026, 1, 1), date(2026, 12, 31), "i", "n",
    )  # fmt: skip


@st.composite
def kind_and_effect(draw: st.DrawFn) -> tuple[Kind, object]:
    kind = draw(st.sampled_from(KINDS))
    return kind, draw(st.sampled_from(LADDERS[kind]))


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    kind, effect = draw(kind_and_effect())
    return Limit(f"l{draw(st.integers(0, 99))}", "", "", "", Target(kinds=(kind,)), "", effect)


@st.composite
def forbids(draw: st.DrawFn) -> Forbid:
    kind = draw(st.sampled_from(KINDS))
    return Forbid(f"f{draw(st.integers(0, 99))}", "", "", "", Target(kinds=(kind,)), "")


@st.composite
def relaxes(draw: st.DrawFn) -> Relax:
    kind, effect = draw(kind_and_effect())
    expires = draw(st.sampled_from([TODAY, date(2026, 5, 31), date(2027, 1, 1)]))
    name = f"r{draw(st.integers(0, 99))}"
    if draw(st.integers(0, 3)) == 0:
        target, level = Target(datasets=("x.y",)), draw(levels)
        return Relax(name, "", "", "", target, "", "a", "b", expires, None, level)
    return Relax(name, "", "", "", Target(kinds=(kind,)), "", "a", "b", expires, effect)


@st.composite
def rivals(draw: st.DrawFn) -> tuple[Relax, ...]:
    """Two valid relaxes that lift the same items to different effects."""
    kind = draw(st.sampled_from([kind for kind in KINDS if len(LADDERS[kind]) > 3]))
    effects = draw(
        st.lists(st.sampled_from(LADDERS[kind][:-1]), min_size=2, max_size=2, unique=True)
    )
    target = Target(kinds=(kind,))
    return tuple(
        Relax(f"v{number}", "", "", "", target, "", "a", "b", TODAY, effect)
        for number, effect in enumerate(effects)
    )


def relax_to_keep(target: Target) -> Relax:
    """A valid relax that lifts whatever the target covers to keep."""
    return Relax("k", "", "", "", target, "", "a", "b", TODAY, KEEP)


def relax_to_edges() -> Relax:
    """A valid relax that lifts an ID number to its edges."""
    edges = next(effect for effect in LADDERS[Kind.CITIZEN_ID] if effect.name == "edges")
    target = Target(kinds=(Kind.CITIZEN_ID,))
    return Relax("e", "", "", "", target, "", "a", "b", TODAY, edges)


@st.composite
def guards(draw: st.DrawFn) -> Guard:
    seen, effect = draw(kind_and_effect())
    test = draw(st.sampled_from(["is", "finer_than", "hidden"]))
    degrade = draw(st.lists(kind_and_effect(), min_size=1, max_size=3))
    condition = GuardCondition(test, (seen,), effect, holdings=draw(st.booleans()))
    return Guard(f"u{draw(st.integers(0, 99))}", "", "", "", (condition,), tuple(degrade), "")


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    def few(strategy: st.SearchStrategy, most: int) -> tuple:
        return tuple(draw(st.lists(strategy, max_size=most, unique_by=lambda rule: rule.id)))

    return Policy(
        "v", TODAY, MASKS, few(limits(), 4), few(forbids(), 2), few(relaxes(), 6), few(guards(), 3)
    )


@st.composite
def holdings(draw: st.DrawFn, dataset: Dataset) -> list[tuple[Holding, Dataset]]:
    made = []
    for _ in range(draw(st.integers(0, 3))):
        effects = {item.name: draw(st.sampled_from(LADDERS[item.kind])) for item in dataset.items}
        made.append((Holding(draw(grants()), effects), dataset))
    return made
