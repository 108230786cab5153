"""What a change of policy does to a grant: item by item, and to its rows.

Law: exact and complete: two decisions that have no change between them open the same
share. A change is narrower, wider, or (where neither can be told) both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.model import Dataset
from broker.policy.compare import rows_within
from broker.policy.effects import at_most
from broker.policy.model import DROP, KEEP, Decision, Effect

NARROWER, WIDER, BOTH = "narrower", "wider", "both"

ROWS = "*"
"""Stands for the rows of the dataset in a change's `item`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One item of one grant (or its rows, `ROWS`): its effect before and after."""

    grant: str
    consumer: str
    dataset: str
    item: str
    before: Effect
    after: Effect
    direction: str
    state: str = "ACTIVE"
    """The grant's: what is told of one that is suspended or pending will be once it is valid."""

    @property
    def widens(self) -> bool:
        """Whether something is shown that was not."""
        return self.direction != NARROWER


def changes(before: Decision, after: Decision, dataset: Dataset) -> Iterator[Change]:
    """What differs between two decisions of one grant."""
    for item in dataset.items:
        old, new = _shown(before, item.name), _shown(after, item.name)
        if old != new:
            less, more = at_most(item.kind, new, old), at_most(item.kind, old, new)
            yield _change(after, item.name, old, new, _direction(less, more))
    if before.rows != after.rows and not before.refused and not after.refused:
        less = rows_within(after.rows, before.rows)
        more = rows_within(before.rows, after.rows)
        if not (less and more):
            yield _change(after, ROWS, KEEP, KEEP, _direction(less, more))


def _shown(decision: Decision, item: str) -> Effect:
    return DROP if decision.refused else decision.effects.get(item, DROP)


def _direction(less: bool, more: bool) -> str:
    return NARROWER if less and not more else WIDER if more and not less else BOTH


def _change(decision: Decision, item: str, old: Effect, new: Effect, direction: str) -> Change:
    return Change(decision.grant, decision.consumer, decision.dataset, item, old, new, direction)
