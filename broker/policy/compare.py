"""Whether what a share shows is within what a decision allows.

Law: item by item and row by row no more than the decision; where that cannot be told,
it is not.
"""

from collections.abc import Mapping

from broker.model import Dataset
from broker.policy.effects import at_most
from broker.policy.model import DROP, Decision, Effect, RowRule


def within(
    effects: Mapping[str, Effect], rows: RowRule, decision: Decision, dataset: Dataset
) -> bool:
    """Whether these effects on these rows disclose no more than the decision does."""
    if decision.refused or not rows_within(rows, decision.rows):
        return False
    return all(
        at_most(dataset.by_name[name].kind, effect, decision.effects.get(name, DROP))
        for name, effect in effects.items()
        if name in dataset.by_name
    ) and all(name in dataset.by_name for name in effects)


def rows_within(rows: RowRule, other: RowRule) -> bool:
    """Whether every row that `rows` admits is surely admitted by `other`."""
    return (
        rows.scope.code.startswith(other.scope.code)
        and other.filter in (None, rows.filter)
        and set(other.forbids) <= set(rows.forbids)
    )
