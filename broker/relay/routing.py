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
from broker.policy.predicate import AgeUnder, All, Any_, Not, Predicate, items_read
from broker.policy.rows import admits
from broker.projection.program import By
from broker.projection.projector import Verdict
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


@dataclass(frozen=True, slots=True)
class Choice:
    """The shares that a record belongs to, each with the place of its projection among
    `templates`."""

    routes: tuple[tuple[Route, int], ...]
    templates: tuple[int, ...]


class Reached(dict[Verdict, Choice]):
    """The routes of a division, and what was chosen from them so far."""

    def __init__(self, routes: Sequence[Route]) -> None:
        super().__init__()
        self.routes = routes


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
            form = (tuple(sorted(share.effects.items())), share.domain, share.schema_id)
            if rule not in rules:
                rules[rule] = len(self.rules)
                self.rules.append(rule)
            if form not in projections:
                projections[form] = len(self.templates)
                self.templates.append(share)
            self._by_prefix[share.rows.scope.code].append(
                Route(share, rules[rule], projections[form])
            )
        self.row = _row(self.rules)
        self.most = max((self._above(code) for code in self._by_prefix), default=1)
        """Shares that a record can reach at most."""

    def routes(self, record: Mapping[str, Any], year: int) -> Sequence[Route]:
        """The routes of the shares that this record belongs to, judged by `year`.

        `RoutingError` where its division is null or unknown.
        """
        division = record.get(self._scope_item)
        reached = self.reach(division if isinstance(division, str) else None)
        return [route for route, _ in self.choose(reached, self.judge(record, year)).routes]

    def reach(self, division: str | None) -> Reached:
        """The routes of a division; `RoutingError` where it is null or unknown."""
        if division is None or self._divisions.get(division) is None:
            raise RoutingError(
                "the record's division is unknown",
                where=self._scope_item,
                mend="mend the record at its source, or bring the division table up to date",
            )
        prefixes = (division[:length] for length in PREFIX_LENGTHS)
        return Reached([route for one in prefixes for route in self._by_prefix.get(one, ())])

    def _above(self, code: str) -> int:
        """The shares of a division and of those that it lies in."""
        prefixes = {code[:length] for length in PREFIX_LENGTHS}
        return sum(len(self._by_prefix.get(one, ())) for one in prefixes)

    def judge(self, record: Mapping[str, Any], year: int) -> Verdict:
        """Of each row rule, whether it admits the record."""
        return tuple(admits(rule, record, year) for rule in self.rules)

    def choose(self, reached: Reached, verdict: Verdict) -> Choice:
        """The routes whose rule admits the record."""
        routes = [route for route in reached.routes if verdict[route.rule]]
        templates = sorted({route.projection for route in routes})
        places = {number: place for place, number in enumerate(templates)}
        return Choice(
            tuple((route, places[route.projection]) for route in routes), tuple(templates)
        )


def _row(rules: Iterable[RowRule]) -> dict[str, By]:
    """The items that rules read, and by what of them they judge."""
    found: dict[str, By] = {}
    for rule in rules:
        for predicate in (rule.filter, *rule.forbids):
            if predicate is not None:
                for name, by in _read(predicate):
                    found[name] = by if found.get(name, by) is by else By.WHOLE
    return found


def _read(predicate: Predicate) -> Iterable[tuple[str, By]]:
    match predicate:
        case All(parts) | Any_(parts):
            for part in parts:
                yield from _read(part)
        case Not(part):
            yield from _read(part)
        case AgeUnder(_, births, numbers):
            yield from ((name, By.BIRTH) for name in births)
            yield from ((name, By.NUMBER) for name in numbers)
        case _:
            yield from ((name, By.WHOLE) for name in items_read(predicate))
