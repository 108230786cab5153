"""Which shares a record belongs to: looked up by division prefix, never tried one by one.

Law: a record costs by the shares it reaches, not by the shares that exist. Shares
with equal effects and pseudonym domain use one projection; shares with equal row
predicates are judged once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.divisions import Divisions
from broker.errors import RoutingError
from broker.model import Dataset, Scope
from broker.policy.model import RowRule
from broker.policy.rows import admits
from broker.sharing.share import Share

PREFIX_LENGTHS = (2, 4, 6, 9, 12)
"""Digits of a province, city, county, town and village."""

EVERYWHERE = Scope("")


@dataclass(frozen=True, slots=True)
class Route:
    """A share with the indexes of its row rule and of its projection."""

    share: Share
    rule: int
    projection: int


class Router:
    """Routes the records of one dataset over its shares."""

    def __init__(self, dataset: Dataset, shares: Iterable[Share], divisions: Divisions) -> None:
        self._scope_item = dataset.scope_item
        self._divisions = divisions
        self._by_prefix: dict[str, list[Route]] = defaultdict(list)
        self.rules: list[RowRule] = []
        self.templates: list[Share] = []
        rules: dict[RowRule, int] = {}
        projections: dict[tuple[object, ...], int] = {}
        for share in shares:
            rule = replace(share.rows, scope=EVERYWHERE)
            form = (tuple(sorted(share.effects.items())), share.domain)
            if rule not in rules:
                rules[rule] = len(self.rules)
                self.rules.append(rule)
            if form not in projections:
                projections[form] = len(self.templates)
                self.templates.append(share)
            self._by_prefix[share.rows.scope.code].append(
                Route(share, rules[rule], projections[form])
            )

    def routes(self, record: Mapping[str, Any], year: int) -> Sequence[Route]:
        """The routes of the shares that this record belongs to, judged by `year`.

        `RoutingError` where its division is null or unknown.
        """
        division = record.get(self._scope_item)
        if not isinstance(division, str) or self._divisions.get(division) is None:
            raise RoutingError(
                "the record's division is unknown",
                where=self._scope_item,
                mend="mend the record at its source, or bring the division table up to date",
            )
        verdicts: dict[int, bool] = {}
        found: list[Route] = []
        for length in PREFIX_LENGTHS:
            for route in self._by_prefix.get(division[:length], ()):
                if route.rule not in verdicts:
                    verdicts[route.rule] = admits(self.rules[route.rule], record, year)
                if verdicts[route.rule]:
                    found.append(route)
        return found
