"""Guards: sets of effects that together re-identify are degraded.

Law: in a round every guard reads the same state and the results are met, until nothing
changes; so the order of guards does not matter, and nothing is ever disclosed by one.
A guard degrades the grant being decided, never an earlier one.

The tests of a condition:

- `is`: some item of the kinds has the effect;
- `finer_than`: some item of the kinds discloses more than the effect;
- `hidden`: no item of the kinds is kept or shows its edges.

With `holdings`, an item of an earlier grant that joins with this one counts too; with
`elsewhere`, only such an item counts.
"""

from collections.abc import Iterable, Mapping, Sequence

from broker.model import DIRECT_IDENTIFIERS, Dataset, Item
from broker.policy.effects import at_most, meet
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
        if following == state:
            return state, reasons
        state = following


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
