"""Which rows a decision releases.

Law: unknown never releases: a filter must be true, a forbid must be false.
"""

from collections.abc import Mapping
from typing import Any

from broker.policy.model import RowRule
from broker.policy.predicate import evaluate


def admits(rule: RowRule, record: Mapping[str, Any], year: int) -> bool:
    """Whether filter and forbids let the record out; the scope is looked up by the router."""
    if rule.filter is not None and evaluate(rule.filter, record, year) is not True:
        return False
    return all(evaluate(forbid, record, year) is False for forbid in rule.forbids)
