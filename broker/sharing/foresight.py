"""What a change does to grants, seen before it is made, and who must stand behind it.

Law: nobody alone shows more to anybody: not to a grant that is valid now, nor to one that is
suspended, as if it were resumed, nor to one whose first day is still to come, as of that day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from broker.catalog import Catalog
from broker.errors import GrantError
from broker.model import Level
from broker.policy.impact import Change, changes
from broker.policy.loosening import Loosened
from broker.policy.model import Consumer, Effect, same_person
from broker.sharing.decided import Decided


def foreseen(before: Sequence[Decided], after: Sequence[Decided], catalog: Catalog) -> list[Change]:
    """What differs for each grant between two ways in which all of them were decided today."""
    return [
        replace(change, state=old.state)
        for old, new in zip(before, after, strict=True)
        for change in changes(old.ahead, new.ahead, catalog.dataset(old.grant.dataset))
    ]


def as_shown(after: Sequence[Decided], shown: Mapping[str, Mapping[str, Effect]]) -> list[Decided]:
    """For `foreseen`, where what was before cannot be decided any more: what each grant's share
    shows (`shown`, by share), and the rows as they will be."""
    return [
        replace(
            one,
            ahead=replace(one.ahead, effects=shown.get(one.stored.share or "", {}), refused=None),
        )
        for one in after
    ]


def check_policy_change(
    changes: Sequence[Change],
    looser: Sequence[Loosened],
    author: str,
    approver: str,
    reason: str,
) -> None:
    """`GrantError` where a policy that changes that, and loosens those rules, must not be
    applied so."""
    _check_signed(author, reason)
    _check_widening(changes, author, approver)
    if looser:
        names = ", ".join(dict.fromkeys(one.id for one in looser))
        _check_approved(author, approver, f"the change loosens {names}")


def check_tier(
    consumer: Consumer,
    tier: Level,
    changes: Sequence[Change],
    author: str,
    approver: str,
    reason: str,
) -> None:
    """`GrantError` where the consumer must not be given that tier so."""
    _check_signed(author, reason)
    if consumer.tier == tier:
        raise GrantError(f"{consumer.id} is T{int(tier)} already", mend="name another tier")
    if tier > consumer.tier:
        _check_approved(author, approver, "a higher tier shows more")
    _check_widening(changes, author, approver)


def _check_widening(changes: Sequence[Change], author: str, approver: str) -> None:
    if any(change.widens for change in changes):
        _check_approved(author, approver, "the change shows more to somebody")


def _check_signed(author: str, reason: str) -> None:
    """`GrantError` where nobody is named, or no reason."""
    if not author.strip() or not reason.strip():
        raise GrantError("author or reason is missing", mend="--author NAME --reason '…'")


def _check_approved(author: str, approver: str, what: str) -> None:
    """`GrantError` unless another person than the author approves of `what`."""
    if not approver.strip() or same_person(author, approver):
        raise GrantError(
            f"{what}: it needs another approver",
            mend="--approver NAME of somebody other than the author",
        )
