"""Where a stricter rule can show more: what withheld one item was how another came out.

Law: names every guard, and every relax, whose withholding may end although nothing that it
says was changed. Two ways lead there. A guard that asks whether something is shown (`is`,
`finer_than`) stops firing once that is hidden. And what stands in a value that would be kept
hides the whole, but not one that is masked anyway.
"""

from collections.abc import Collection, Iterator, Sequence

from broker.model import DIRECT_IDENTIFIERS, Dataset, Item, Kind
from broker.policy.decide import hidden
from broker.policy.effects import at_most
from broker.policy.guards import SHOWN
from broker.policy.model import (
    KEEP,
    Forbid,
    Guard,
    GuardCondition,
    Limit,
    Policy,
    Relax,
    Target,
)
from broker.policy.reach import deed, rules_of

_ALWAYS = frozenset({"keep", "drop", "pseudonym", "town"})
"""Effects that come out without any rule: tiers, presence, what hides a whole."""


def guards_that_may_stop(
    old: Policy, new: Policy, datasets: Sequence[Dataset], held: Collection[str]
) -> Iterator[str]:
    """The old guards that may fire no longer, because what they ask for comes out otherwise.
    `held` are the names of effects that grants have released so far."""
    policies = old, new
    anywhere = _given(policies, None) | set(held)
    for dataset in datasets:
        here = _given(policies, dataset)
        can_fire = [
            guard
            for guard in (*old.guards, *new.guards)
            if all(_can_hold(test, here, anywhere) for test in guard.when)
        ]
        touched = _touched(old, new, dataset, can_fire)
        for guard in old.guards:
            tests = [test for test in guard.when if test.test != "hidden"]
            stops = guard in can_fire and any(_reads(test, touched) for test in tests)
            if stops and any(dataset.of_kind(kind) for kind, _ in guard.degrade):
                yield guard.id


def freed_wholes(old: Policy, new: Policy, datasets: Sequence[Dataset]) -> Iterator[str]:
    """Where a value that contains others was kept, so that what withheld them hid it, and is
    masked now: the relax that is gone, or the cell of the tier table."""
    gone = [one for one in _only_in(old, new) if isinstance(one, Relax) and one.effect == KEEP]
    for dataset in datasets:
        for item in dataset.items:
            if not dataset.contained_in(item) or not _shows_when_masked(item, dataset, new):
                continue
            yield from (relax.id for relax in gone if _names(relax.target, item, dataset))
            if old.tier_mask.get(item.kind) == KEEP != new.tier_mask.get(item.kind):
                yield f"tier.{item.kind}"


def _shows_when_masked(item: Item, dataset: Dataset, policy: Policy) -> bool:
    """Whether a step between kept and hidden may come out for the item."""
    steps = {policy.tier_mask.get(item.kind)}
    steps |= {one.effect for one in policy.relaxes if _names(one.target, item, dataset)}
    most = hidden(item.kind)
    return any(
        one not in (None, KEEP) and not at_most(item.kind, one, most) for one in steps if one
    )


def _touched(old: Policy, new: Policy, dataset: Dataset, guards: Sequence[Guard]) -> set[Kind]:
    """The kinds of which an item may come out otherwise, by whatever was changed."""
    kinds = {kind for kind in Kind if old.tier_mask.get(kind) != new.tier_mask.get(kind)}
    same = set(map(deed, old.guards)) & set(map(deed, new.guards))
    for guard in (*old.guards, *new.guards):
        kinds |= {kind for kind, _ in guard.degrade if deed(guard) not in same}
    touched = {item.name for item in dataset.items if item.kind in kinds}
    for rule in (*_only_in(old, new), *_only_in(new, old)):
        if isinstance(rule, Forbid) and rule.rows is not None:
            continue
        touched |= {item.name for item in dataset.items if _names(rule.target, item, dataset)}
    while True:
        kinds = {dataset.by_name[name].kind for name in touched}
        further = {
            kind
            for guard in guards
            if any(_reads(test, kinds) for test in guard.when)
            for kind, _ in guard.degrade
        }
        more = {
            item.name
            for item in dataset.items
            if item.kind in further or touched & {one.name for one in _parts(item, dataset)}
        }
        if more <= touched:
            return kinds
        touched |= more


def _parts(item: Item, dataset: Dataset) -> Iterator[Item]:
    """What a value of the item contains, or a mask of it shows."""
    yield from dataset.contained_in(item)
    for by_concept in SHOWN.values():
        for part in by_concept.get(item.concept, ()):
            yield from dataset.meant_by(part)


def _reads(test: GuardCondition, kinds: Collection[Kind]) -> bool:
    """Whether a condition may hold or not by how items of the kinds come out. What joins two
    datasets are kept direct identifiers."""
    here = not test.elsewhere and not set(test.kinds).isdisjoint(kinds)
    joined = test.holdings or test.elsewhere
    return here or (joined and not DIRECT_IDENTIFIERS.isdisjoint(kinds))


def _can_hold(test: GuardCondition, here: Collection[str], anywhere: Collection[str]) -> bool:
    """Whether the effect that a condition asks for comes out at all."""
    if test.test != "is" or test.effect is None:
        return True
    return test.effect.name in (anywhere if test.holdings or test.elsewhere else here)


def _given(policies: Sequence[Policy], dataset: Dataset | None) -> set[str]:
    """The names of all effects that come out in a dataset, or (None) anywhere."""
    found = set(_ALWAYS)
    for policy in policies:
        found |= {effect.name for effect in policy.tier_mask.values()}
        found |= {effect.name for guard in policy.guards for _, effect in guard.degrade}
        found |= {
            rule.effect.name
            for rule in rules_of(policy)
            if not isinstance(rule, Forbid)
            and rule.effect is not None
            and (dataset is None or not rule.target.datasets or dataset.id in rule.target.datasets)
        }
    return found


def _only_in(one: Policy, other: Policy) -> list[Limit | Forbid | Relax]:
    """The rules of which the other policy has none that does the same."""
    known = {deed(rule) for rule in rules_of(other)}
    return [rule for rule in rules_of(one) if deed(rule) not in known]


def _names(target: Target, item: Item, dataset: Dataset) -> bool:
    """Whether a rule with that target is about the item, whoever asks."""
    return (
        (not target.datasets or dataset.id in target.datasets)
        and (not target.items or item.name in target.items)
        and (not target.kinds or item.kind in target.kinds)
    )
