"""What a change does to grants, seen before it is made, and who must stand behind it.

Law: nobody alone shows more to anybody: not to a grant that is valid now, nor to one that is
suspended, as if it were resumed, nor to one whose first day is still to come, as of that day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from broker.catalog import Catalog
from broker.errors import GrantError
from broker.policy.impact import Change, changes
from broker.policy.model import Effect, same_person
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


def check_signed(author: str, reason: str) -> None:
    """`GrantError` where nobody is named, or no reason."""
    if not author.strip() or not reason.strip():
        raise GrantError("author or reason is missing", mend="--author NAME --reason '…'")


def check_approved(author: str, approver: str, what: str) -> None:
    """`GrantError` unless another person than the author approves of `what`."""
    if not approver.strip() or same_person(author, approver):
        raise GrantError(
            f"{what}: it needs another approver",
            mend="--approver NAME of somebody other than the author",
        )
