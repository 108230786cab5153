"""The effects of each kind, ordered by how much they disclose.

Law: `meet` is commutative, associative and idempotent, and never discloses more than
either side. Effects whose parameters do not nest are incomparable and meet at drop.
"""

from collections.abc import Sequence

from broker.errors import PolicyError
from broker.model import Kind
from broker.policy.model import DROP, KEEP, Effect

_PSEUDONYM = Effect("pseudonym")
_DATES = (KEEP, Effect("month"), Effect("year"), Effect("decade"), DROP)
_PLAIN = (KEEP, DROP)

LADDERS: dict[Kind, tuple[Effect, ...]] = {
    Kind.CITIZEN_ID: (KEEP, Effect("edges", (("first", 6), ("last", 4))), _PSEUDONYM, DROP),
    Kind.PERSON_NAME: (KEEP, Effect("surname"), DROP),
    Kind.PHONE: (KEEP, Effect("partial", (("first", 3), ("last", 4))), DROP),
    Kind.ADDRESS: (KEEP, Effect("street"), Effect("county"), DROP),
    Kind.DIVISION_CODE: (KEEP, Effect("town"), Effect("county"), Effect("city"), DROP),
    Kind.BIRTH_DATE: _DATES,
    Kind.DATE: _DATES,
    Kind.DATE_TIME: (KEEP, Effect("day"), Effect("month"), Effect("year"), DROP),
    Kind.AMOUNT: (KEEP, Effect("band"), DROP),
    Kind.IDENTIFIER: (KEEP, Effect("tail4"), _PSEUDONYM, DROP),
    Kind.CODE: _PLAIN,
    Kind.FLAG: _PLAIN,
    Kind.COUNT: _PLAIN,
    Kind.FREE_TEXT: _PLAIN,
    Kind.PHOTO: _PLAIN,
    Kind.BIOMETRIC: _PLAIN,
}
"""Each kind's ladder, from most to least disclosing, with the parameters used by default."""


def parse_effect(kind: Kind, text: str) -> Effect:
    """The effect of that name on the kind's ladder; `PolicyError` where it has none."""
    for effect in LADDERS[kind]:
        if effect.name == text:
            return effect
    known = ", ".join(effect.name for effect in LADDERS[kind])
    raise PolicyError(f"{kind} has no effect {text!r}", mend=f"one of: {known}")


def at_most(kind: Kind, one: Effect, other: Effect) -> bool:
    """Whether `one` discloses no more than `other`."""
    if one == DROP or other == KEEP:
        return True
    if one.name == other.name:
        mine, theirs = dict(one.params), dict(other.params)
        if mine.keys() != theirs.keys():
            return False
        return all(_no_more(mine[name], theirs[name]) for name in mine)
    names = [effect.name for effect in LADDERS[kind]]
    if one.name not in names or other.name not in names:
        return False
    return names.index(one.name) > names.index(other.name)


def meet(kind: Kind, one: Effect, other: Effect) -> Effect:
    """The stricter of the two; drop where neither is."""
    if at_most(kind, one, other):
        return one
    return other if at_most(kind, other, one) else DROP


def join(kind: Kind, one: Effect, other: Effect) -> Effect:
    """The looser of the two; where neither is, `one` stands."""
    return other if at_most(kind, one, other) else one


def loosest_of(kind: Kind, effects: Sequence[Effect]) -> Effect | None:
    """The effect that discloses at least what each of them does; None where there is none."""
    for effect in effects:
        if all(at_most(kind, other, effect) for other in effects):
            return effect
    return None


def _no_more(mine: int | str, theirs: int | str) -> bool:
    if isinstance(mine, int) and isinstance(theirs, int):
        return mine <= theirs
    return mine == theirs
