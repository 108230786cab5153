"""A grant as asked for, in plain words, and its check.

Law: 《政务数据共享条例》 article 20: basis, scenario, scope, mode and validity are
mandatory; 《个人信息保护法》 articles 35, 55: impact assessment and notice are named.
What is missing or unknown is refused by name; nothing is filled in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from broker.catalog import Catalog
from broker.divisions import Divisions
from broker.errors import GrantError, PolicyError
from broker.marked import parse_marked
from broker.model import Dataset
from broker.policy.model import Consumer, Grant
from broker.policy.node import Node
from broker.policy.predicate import Predicate, parse_predicate
from broker.sharing.grants import new_id

_FILTER = "--filter"


@dataclass(frozen=True, slots=True)
class Application:
    """What `shuqiao grant add` was told. Dates are YYYY-MM-DD; `filter` is YAML."""

    consumer: str
    dataset: str
    items: Sequence[str]
    purpose: str
    legal_basis: str
    scope: str
    valid_from: str
    valid_until: str
    impact_assessment: str
    notice: str
    filter: str = ""
    minors: str = ""

    def grant(self, consumer: Consumer, catalog: Catalog, divisions: Divisions) -> Grant:
        """The grant, checked; `GrantError` names the field."""
        dataset = catalog.dataset(self.dataset)
        mandatory = (
            "purpose", "legal_basis", "scope", "valid_from", "valid_until",
            "impact_assessment", "notice",
        )  # fmt: skip
        for name in mandatory:
            if not str(getattr(self, name)).strip():
                raise GrantError(f"{name} is missing", where="grant", mend=f"state the {name}")
        start, end = _day(self.valid_from, "valid_from"), _day(self.valid_until, "valid_until")
        if end < start:
            raise GrantError("the grant ends before it starts", mend="mend the dates")
        return Grant(
            id=new_id(),
            consumer=consumer,
            dataset=dataset.id,
            items=_items(self.items, dataset),
            purpose=self.purpose.strip(),
            legal_basis=self.legal_basis.strip(),
            scope=divisions.scope(self.scope.strip()),
            valid_from=start,
            valid_until=end,
            impact_assessment=self.impact_assessment.strip(),
            notice=self.notice.strip(),
            filter=_filter(self.filter, dataset),
            minors=self.minors.strip(),
        )


def _items(names: Sequence[str], dataset: Dataset) -> tuple[str, ...]:
    if not names:
        raise GrantError("no item is asked for", mend=f"`shuqiao catalog show {dataset.id}`")
    for name in names:
        if name not in dataset.by_name:
            raise GrantError(
                f"{dataset.id} has no item {name!r}",
                mend=f"`shuqiao catalog show {dataset.id}` lists its items",
            )
    return tuple(item.name for item in dataset.items if item.name in names)


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise GrantError(f"{name} is no date", mend="write it as YYYY-MM-DD") from None


def _filter(text: str, dataset: Dataset) -> Predicate | None:
    if not text.strip():
        return None
    try:
        node = Node(parse_marked(text, _FILTER, GrantError), _FILTER)
        return parse_predicate(node.plain(), dataset, _FILTER)
    except PolicyError as error:
        raise GrantError(error.what, where=error.where, mend=error.mend) from None
