"""What a policy loosens, rule by rule, whether or not anybody has a grant it would show.

Law: where some grant, in whatever dataset and with whatever holdings, is shown more by the
new policy than by the old one on the same day, something is found here. What cannot be told
counts as loosened. Rules are compared by what they say, not by their ids: what was merged,
split or named anew, and withholds the same, is no loosening.

Each part of the decision is compared by itself, because each only ever withholds or only
ever shows; where something stricter can show more, `interplay` tells.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from broker.model import Dataset, Kind
from broker.policy.decide import signed
from broker.policy.effects import LADDERS, at_most
from broker.policy.interplay import freed_wholes, guards_that_may_stop
from broker.policy.model import (
    DROP,
    KEEP,
    Effect,
    Forbid,
    Guard,
    Limit,
    Policy,
    Relax,
    Target,
)
from broker.policy.reach import Point, Reach, asked, covers, deed, meant, rules_of

TIER, LIMIT, FORBID, ROWS, RELAX, PRESENCE, GUARD, INTERPLAY, UNKNOWN, UNREADABLE = (
    "tier", "limit", "forbid", "rows", "relax", "presence", "guard", "interplay", "unknown",
    "unreadable",
)  # fmt: skip
"""How: a cell of the tier table; a limit, a forbid of items or of rows, a guard that no longer
withholds what it did; a relax of an item or of a presence level that is new or goes further; a
guard that may stop firing, or a whole that is freed; an effect outside its ladder;
an old policy that cannot be loaded."""


@dataclass(frozen=True, slots=True, order=True)
class Loosened:
    """One rule, guard or cell of the tier table (`id`) that is loosened, and how."""

    id: str
    how: str


def loosened(
    old: Policy, new: Policy, datasets: Sequence[Dataset], held: Iterable[Effect] = ()
) -> list[Loosened]:
    """Everything that `new` loosens. `held` are effects that grants have released so far."""
    if _content(old) == _content(new):
        return []
    reach = Reach((old, new), datasets)
    found = {*_tiers(old, new), *_caps(old, new, reach), *_rows(old, new, reach)}
    found |= {*_relaxes(old, new, reach), *_presence(old, new, reach), *_guards(old, new)}
    found |= {*_unknown(old, reach), *_unknown(new, reach)}
    names = {effect.name for effect in held}
    freed = (*guards_that_may_stop(old, new, datasets, names), *freed_wholes(old, new, datasets))
    found |= {Loosened(name, INTERPLAY) for name in freed}
    return sorted(found)


def _content(policy: Policy) -> tuple[object, ...]:
    """What a policy says, in any order and without words."""
    return (
        frozenset(policy.tier_mask.items()),
        frozenset(map(deed, rules_of(policy))),
        frozenset(map(deed, policy.guards)),
    )


def _tiers(old: Policy, new: Policy) -> Iterator[Loosened]:
    for kind in Kind:
        if not at_most(kind, new.tier_mask.get(kind, DROP), old.tier_mask.get(kind, DROP)):
            yield Loosened(f"tier.{kind}", TIER)


def _caps(old: Policy, new: Policy, reach: Reach) -> Iterator[Loosened]:
    """Limits and forbids of items: all that was withheld still is, by whichever rule."""
    still = [(one.target, one.effect) for one in new.limits]
    still += [(one.target, DROP) for one in new.forbids if one.rows is None]
    was: list[tuple[Limit | Forbid, Effect, str]] = [(o, o.effect, LIMIT) for o in old.limits]
    was += [(one, DROP, FORBID) for one in old.forbids if one.rows is None]
    for rule, effect, how in was:
        if effect == KEEP or (rule.target, effect) in still:
            continue

        points = _on_ladder(reach.items(rule.target), effect)
        if not all(_capped(point, effect, still) for point in points):
            yield Loosened(rule.id, how)


def _capped(point: Point, effect: Effect, caps: Iterable[tuple[Target, Effect]]) -> bool:
    return any(covers(target, point) and _at_most(point, cap, effect) for target, cap in caps)


def _rows(old: Policy, new: Policy, reach: Reach) -> Iterator[Loosened]:
    """Forbids of rows. Whether one condition holds for all rows of another is not judged."""
    for rule in old.forbids:
        if rule.rows is None:
            continue
        same = [one.target for one in new.forbids if one.rows == rule.rows]
        if not _all_meant(reach.rows(rule.target), same):
            yield Loosened(rule.id, ROWS)


def _relaxes(old: Policy, new: Policy, reach: Reach) -> Iterator[Loosened]:
    for rule in new.relaxes:
        if rule.effect is None or not signed(rule):
            continue
        effect = rule.effect
        before = [one for one in _as_long(old, rule) if one.effect is not None]
        points = _on_ladder(reach.items(rule.target), effect)
        if not all(_lifted(point, effect, before) for point in points):
            yield Loosened(rule.id, RELAX)


def _presence(old: Policy, new: Policy, reach: Reach) -> Iterator[Loosened]:
    for rule in new.relaxes:
        if rule.presence is None or not signed(rule):
            continue
        before = [
            one.target
            for one in _as_long(old, rule)
            if one.presence is not None and one.presence <= rule.presence
        ]
        if not _all_meant(reach.rows(rule.target), before):
            yield Loosened(rule.id, PRESENCE)


def _guards(old: Policy, new: Policy) -> Iterator[Loosened]:
    """A guard still stands where others, on no more conditions, degrade as far or further."""
    for guard in old.guards:
        tests = set(map(asked, guard.when))
        still = [one for one in new.guards if set(map(asked, one.when)) <= tests]
        if not all(_degraded(kind, effect, still) for kind, effect in guard.degrade):
            yield Loosened(guard.id, GUARD)


def _degraded(kind: Kind, effect: Effect, guards: Iterable[Guard]) -> bool:
    return any(
        other == kind and at_most(kind, cap, effect)
        for guard in guards
        for other, cap in guard.degrade
    )


def _unknown(policy: Policy, reach: Reach) -> Iterator[Loosened]:
    """Effects that no ladder orders: what follows from them is not judged."""
    for kind, mask in policy.tier_mask.items():
        if mask not in LADDERS[kind]:
            yield Loosened(f"tier.{kind}", UNKNOWN)
    for guard in policy.guards:
        if any(effect not in LADDERS[kind] for kind, effect in guard.degrade):
            yield Loosened(guard.id, UNKNOWN)
    for rule in rules_of(policy):
        effect = None if isinstance(rule, Forbid) else rule.effect
        points = [one for one in reach.items(rule.target) if one.dataset and effect is not None]
        if any(one.kind is None or effect not in LADDERS[one.kind] for one in points):
            yield Loosened(rule.id, UNKNOWN)


def _as_long(policy: Policy, rule: Relax) -> list[Relax]:
    """The relaxes of a policy that last at least as long as this one."""
    return [one for one in policy.relaxes if signed(one) and one.expires >= rule.expires]


def _lifted(point: Point, effect: Effect, relaxes: Iterable[Relax]) -> bool:
    return any(
        covers(one.target, point) and one.effect is not None and _at_most(point, effect, one.effect)
        for one in relaxes
    )


def _all_meant(points: Iterable[Point], targets: Sequence[Target]) -> bool:
    return all(any(meant(target, point) for target in targets) for point in points)


def _on_ladder(points: Iterable[Point], effect: Effect) -> Iterator[Point]:
    """The points whose ladder has the effect; of a real dataset the others are unknown."""
    return (one for one in points if one.kind is not None and effect in LADDERS[one.kind])


def _at_most(point: Point, one: Effect, other: Effect) -> bool:
    return point.kind is not None and at_most(point.kind, one, other)
