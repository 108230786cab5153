"""What a rule's target reaches, as points: an item, a requester and a purpose each.

Law: finite and complete. `ELSE` stands for every dataset, item, consumer, department and
purpose that no rule names, so also for what is still to come.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from broker.model import Dataset, Kind
from broker.policy.decide import signed
from broker.policy.model import Forbid, Guard, GuardCondition, Limit, Policy, Relax, Target

ELSE = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One item asked for by one requester for one purpose. `kind` is None where the point
    stands for the rows of the dataset."""

    dataset: str
    item: str
    kind: Kind | None
    consumer: str
    department: str
    purpose: str


def covers(target: Target, point: Point) -> bool:
    """Whether a rule with that target is about the point's item."""
    return (
        _among(point.item, target.items)
        and (not target.kinds or point.kind in target.kinds)
        and meant(target, point)
    )


def meant(target: Target, point: Point) -> bool:
    """Whether a rule with that target is about the point's dataset and requester."""
    return (
        _among(point.dataset, target.datasets)
        and _among(point.consumer, target.consumers)
        and _among(point.department, target.departments)
        and _among(point.purpose, target.purposes)
        and point.department not in target.not_departments
    )


class Reach:
    """The points that some policies can tell apart, over some datasets and whatever comes."""

    def __init__(self, policies: Iterable[Policy], datasets: Sequence[Dataset]) -> None:
        rules = [rule for policy in policies for rule in rules_of(policy)]
        self._datasets = (*(dataset.id for dataset in datasets), ELSE)
        names = {name for rule in rules for name in rule.target.items}
        self._cells = [(one.id, item.name, item.kind) for one in datasets for item in one.items]
        self._cells += [(ELSE, name, kind) for name in sorted({ELSE, *names}) for kind in Kind]
        named = [(*rule.target.departments, *rule.target.not_departments) for rule in rules]
        self._departments = sorted({ELSE}.union(*named))

    def items(self, target: Target) -> Iterator[Point]:
        """The points of the items that the target covers."""
        cells = [
            cell
            for cell in self._cells
            if _among(cell[0], target.datasets)
            and _among(cell[1], target.items)
            and (not target.kinds or cell[2] in target.kinds)
        ]
        for cell, requester in product(cells, list(self._requesters(target))):
            yield Point(*cell, *requester)

    def rows(self, target: Target) -> Iterator[Point]:
        """The points of the rows of the datasets that the target is about."""
        datasets = [name for name in self._datasets if _among(name, target.datasets)]
        for dataset, requester in product(datasets, list(self._requesters(target))):
            yield Point(dataset, ELSE, None, *requester)

    def _requesters(self, target: Target) -> Iterator[tuple[str, str, str]]:
        departments = target.departments or self._departments
        return product(
            target.consumers or (ELSE,),
            [name for name in departments if name not in target.not_departments],
            target.purposes or (ELSE,),
        )


def rules_of(policy: Policy) -> tuple[Limit | Forbid | Relax, ...]:
    """The rules of a policy, whatever they do."""
    return (*policy.limits, *policy.forbids, *policy.relaxes)


def deed(rule: Limit | Forbid | Relax | Guard) -> tuple[object, ...]:
    """What a rule or guard does, without its words and in no order."""
    match rule:
        case Guard():
            return frozenset(map(asked, rule.when)), frozenset(rule.degrade)
        case Forbid():
            return rule.target, rule.rows
        case Limit():
            return rule.target, rule.effect
        case Relax():
            return rule.target, rule.effect, rule.presence, rule.expires, signed(rule)


def asked(test: GuardCondition) -> tuple[object, ...]:
    """What a condition of a guard asks, in any order of its kinds."""
    return test.test, frozenset(test.kinds), test.effect, test.holdings, test.elsewhere


def _among(value: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or value in allowed
