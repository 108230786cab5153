"""Guards: sets of effects that together re-identify are degraded.

Law: in a round every guard reads the same state and the results are met, until nothing
changes; so the order of guards does not matter, and nothing is ever disclosed by one.
A guard degrades the grant being decided, never an earlier one.

The tests of a condition:

- `is`: some item of the kinds has the effect;
- `finer_than`: some item of the kinds discloses more than the effect;
- `hidden`: no item of the kinds is kept or shows its edges.

Beside the policy's guards stands one that is always there: a partial mask is allowed
only where every embedded item that its visible characters show is kept; else it falls
to pseudonym.

With `holdings`, an item of an earlier grant that joins with this one counts too; with
`elsewhere`, only such an item counts.
"""

from collections.abc import Iterable, Mapping, Sequence

from broker.model import DIRECT_IDENTIFIERS, Dataset, Item
from broker.policy.effects import at_most, meet, parse_effect
from broker.policy.model import (
    KEEP,
    Effect,
    Grant,
    Guard,
    GuardCondition,
    Holding,
    Reason,
)

State = Mapping[str, Effect]
_SHOWING = ("keep", "edges")

EMBEDDED = "guard-embedded"
EMBEDDED_TITLE = "部分遮盖只用于其可见字符所含各项都原样提供之处"
SHOWN: dict[str, dict[str, frozenset[str]]] = {
    "edges": {"citizen_id": frozenset({"sex", "division"})},
    "tail4": {"disability_cert_no": frozenset({"sex", "disability_type", "grade"})},
}
"""By mask and concept: what the visible characters show (GB 11643; the disability
certificate number ends in check digit, type and grade). Of other items: all they embed."""


def guarded(
    grant: Grant,
    dataset: Dataset,
    effects: State,
    guards: Sequence[Guard],
    holdings: Sequence[tuple[Holding, Dataset]],
) -> tuple[dict[str, Effect], list[tuple[str, Reason]]]:
    """The effects after the guards, and (item, reason) of every degradation."""
    state = dict(effects)
    reasons: list[tuple[str, Reason]] = []
    while True:
        joined = [
            (of.by_name[name], effect)
            for holding, of in holdings
            if joins(grant, dataset, state, holding, of)
            for name, effect in holding.effects.items()
            if name in of.by_name
        ]
        following = dict(state)
        for guard in guards:
            if not all(_holds(test, dataset, state, joined) for test in guard.when):
                continue
            for kind, effect in guard.degrade:
                for item in dataset.of_kind(kind):
                    if not at_most(kind, state[item.name], effect):
                        reasons.append((item.name, Reason("guard", guard.id, effect, guard.title)))
                    following[item.name] = meet(kind, following[item.name], effect)
        for item in dataset.items:
            if state[item.name].name in SHOWN and not shown_is_kept(item, dataset, state):
                effect = parse_effect(item.kind, "pseudonym")
                reasons.append((item.name, Reason("guard", EMBEDDED, effect, EMBEDDED_TITLE)))
                following[item.name] = meet(item.kind, following[item.name], effect)
        if following == state:
            return state, sorted(reasons)
        state = following


def shown_is_kept(item: Item, dataset: Dataset, state: State) -> bool:
    """Whether each embedded item that the mask's visible characters show is kept here."""
    shown = SHOWN[state[item.name].name].get(item.concept, frozenset(item.embeds))
    return all(any(state[other.name] == KEEP for other in dataset.meant_by(part)) for part in shown)


def joins(grant: Grant, dataset: Dataset, effects: State, holding: Holding, other: Dataset) -> bool:
    """Whether rows of this grant and of the holding can be put together."""
    if holding.grant.dataset == grant.dataset:
        return True
    if grant.join_domain and grant.join_domain == holding.grant.join_domain:
        return True
    return bool(_kept(dataset, effects) & _kept(other, holding.effects))


def _kept(dataset: Dataset, effects: State) -> set[str]:
    return {
        item.kind
        for item in dataset.items
        if item.kind in DIRECT_IDENTIFIERS and effects.get(item.name) == KEEP
    }


def _holds(
    test: GuardCondition,
    dataset: Dataset,
    state: State,
    joined: Iterable[tuple[Item, Effect]],
) -> bool:
    seen = [] if test.elsewhere else [(item, state[item.name]) for item in dataset.items]
    if test.holdings or test.elsewhere:
        seen.extend(joined)
    effects = [(item.kind, effect) for item, effect in seen if item.kind in test.kinds]
    if test.test == "hidden":
        return all(effect.name not in _SHOWING for _, effect in effects)
    if test.effect is None:
        return True
    name = test.effect.name
    if test.test == "is":
        return any(effect.name == name for _, effect in effects)
    return any(not at_most(kind, effect, test.effect) for kind, effect in effects)
