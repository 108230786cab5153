"""What the policy engine takes and gives, as plain immutable data.

Law: no Avro, no I/O, no clock. Dates come in as values; a decision carries the
reason of every item.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from broker.model import Kind, Level, Scope
from broker.policy.predicate import Predicate


@dataclass(frozen=True, slots=True, order=True)
class Effect:
    """What happens to an item: a step of its kind's ladder, with parameters.

    `params` are part of the effect's identity (characters shown, band table …).
    """

    name: str
    params: tuple[tuple[str, int | str], ...] = ()

    def __str__(self) -> str:
        if not self.params:
            return self.name
        inner = ",".join(f"{key}={value}" for key, value in self.params)
        return f"{self.name}({inner})"


KEEP = Effect("keep")
DROP = Effect("drop")


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer 使用方: an application of a requesting department, with its tier."""

    id: str
    department: str
    tier: Level


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant 授权, whole. `sequence` orders grants by the time they were given (ties by id).

    `ended` is true when it was revoked or suspended; validity is judged by the
    policy's `as_of`. `minors` is the legal basis for rows about people under 14.
    `join_domain` is set where a join across datasets was approved.
    """

    id: str
    consumer: Consumer
    dataset: str
    items: tuple[str, ...]
    purpose: str
    legal_basis: str
    scope: Scope
    valid_from: date
    valid_until: date
    impact_assessment: str
    notice: str
    filter: Predicate | None = None
    minors: str = ""
    join_domain: str = ""
    sequence: int = 0
    ended: bool = False

    def active(self, on: date) -> bool:
        """Whether the grant gives a right on that day (both ends included)."""
        return not self.ended and self.valid_from <= on <= self.valid_until

    @property
    def domain(self) -> str:
        """The pseudonym domain: requesting department × purpose × dataset, or the approved join."""
        return self.join_domain or f"{self.consumer.department}/{self.purpose}/{self.dataset}"


@dataclass(frozen=True, slots=True)
class Holding:
    """An earlier grant of the same department, with its effects as released."""

    grant: Grant
    effects: Mapping[str, Effect]


@dataclass(frozen=True, slots=True)
class Target:
    """To whom and what a rule applies; an empty tuple means all.

    `consumers` are ids; `departments` and `not_departments` are requesting
    departments; `items` are names in the rule's datasets; `kinds` any item of them.
    """

    datasets: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    consumers: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    not_departments: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What limit, forbid and relax share: identity, words, and where it stands."""

    id: str
    title: str
    reason: str
    owner: str
    target: Target
    where: str


@dataclass(frozen=True, slots=True)
class Limit(Rule):
    """An effect at most."""

    effect: Effect = DROP


@dataclass(frozen=True, slots=True)
class Forbid(Rule):
    """Items never (no `rows`), or rows for which `rows` is true or unknown."""

    rows: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Relax(Rule):
    """An effect at least, or a presence level, until it expires.

    Beats only the tier table. Exactly one of `effect` and `presence` is set.
    """

    author: str = ""
    approver: str = ""
    expires: date = date.min
    effect: Effect | None = None
    presence: Level | None = None


def same_person(one: str, other: str) -> bool:
    """Whether two names as written are one person's: width, case, blanks and what is not
    seen say nothing."""
    return _seen(one) == _seen(other)


def _seen(name: str) -> str:
    """A name's letters: no marks, blanks or characters that a reader does not see."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(c for c in plain if unicodedata.category(c)[0] not in "CMZ")


@dataclass(frozen=True, slots=True)
class GuardCondition:
    """One test over the state of all items at the start of a round; see `policy.guards`."""

    test: str
    kinds: tuple[Kind, ...] = ()
    effect: Effect | None = None
    holdings: bool = False
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """When every condition holds, the items of each kind get at most the effect given."""

    id: str
    title: str
    reason: str
    owner: str
    when: tuple[GuardCondition, ...]
    degrade: tuple[tuple[Kind, Effect], ...]
    where: str


@dataclass(frozen=True)
class Policy:
    """One immutable bundle. `as_of` is the day by which expiries and validity are judged.

    `tier_mask` is each kind's effect at a gap of 1 (`policies/tiers.yaml`).
    """

    version: str
    as_of: date
    tier_mask: Mapping[Kind, Effect]
    limits: tuple[Limit, ...] = ()
    forbids: tuple[Forbid, ...] = ()
    relaxes: tuple[Relax, ...] = ()
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """One thing that determined an item's effect: `by` is tier, presence, limit, forbid,
    relax, guard, not_asked, not_shared, no_grant, minors; `id` the rule's or guard's id."""

    by: str
    id: str
    effect: Effect
    title: str = ""


@dataclass(frozen=True, slots=True)
class RowRule:
    """Which rows are released: in `scope`, `filter` true, no `forbids` true or unknown.

    The exclusion of people under 14 stands among `forbids` unless the grant says `minors`.
    """

    scope: Scope
    filter: Predicate | None = None
    forbids: tuple[Predicate, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a decision opens no share: `code` is not_shared, no_grant, presence, nothing_left
    or filter_publishes; the words are in Chinese and English."""

    code: str
    zh: str
    en: str

    def words(self, lang: str) -> str:
        """The words of a language, `zh` or `en`."""
        return self.en if lang == "en" else self.zh


@dataclass(frozen=True)
class Decision:
    """For one grant and one dataset: the effect of every item, the rows, the reasons.

    `row_reasons` name what keeps rows back beside scope and filter: a rule, or `minors`.

    `refused` says why there is no share; it is None exactly when one opens.
    """

    grant: str
    consumer: str
    dataset: str
    policy_version: str
    effects: Mapping[str, Effect]
    rows: RowRule
    domain: str
    reasons: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    row_reasons: tuple[Reason, ...] = ()
    refused: Refusal | None = None

    @property
    def released(self) -> dict[str, Effect]:
        """The items that leave, with their effects."""
        return {name: effect for name, effect in self.effects.items() if effect.name != "drop"}
