"""What one pass over the records answers for, and what follows for the key of a record.

Law: of the shares that hold a key a pass changes those that it answers for and carries the others
over. What follows depends on which shares a record belongs to and on who holds its key, on nothing
else: it is worked out once for both.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from broker.projection.projector import Verdict
from broker.relay.membership import Shares
from broker.relay.routing import Choice, Reached, Router


class Change(NamedTuple):
    """What follows for a key: (number of a share, place of its value) of each share that gets a
    value, the numbers of those that get a tombstone, and who holds the key then."""

    writes: tuple[tuple[int, int], ...]
    gone: tuple[int, ...]
    after: Shares


class Task:
    """A pass over records of one dataset. Of the shares that hold a key it answers for `mine`,
    or, where that is None, for all but `others`; ages are judged by `year`; `again`: values that a
    share holds already are written once more. `numbers` are the shares', by id: one that has none
    is closed, its topic is gone."""

    def __init__(
        self,
        router: Router,
        numbers: dict[str, int],
        *,
        mine: Shares | None,
        others: Shares,
        year: int,
        again: bool,
    ) -> None:
        self.year = year
        self.choices: dict[int, Any] = {}
        self._router = router
        self._numbers = numbers
        self._mine = mine
        self._others = others
        self._again = again

    def reaching(self) -> Callable[[str | None], Reached]:
        """`Router.reach` for one memo: divisions that reach the same shares are one there."""
        known: WeakValueDictionary[tuple[int, ...], Reached] = WeakValueDictionary()

        def reach(division: str | None) -> Reached:
            found = self._router.reach(division)
            return known.setdefault(tuple(map(id, found.routes)), found)

        return reach

    def choose(self, reached: Reached, verdict: Verdict) -> "Chosen":
        """What becomes of records that reach these shares and are judged so."""
        return Chosen(self, self._router.choose(reached, verdict))

    def change(self, belongs: Iterable[tuple[str, int]], held: Shares) -> Change:
        """What follows where a record belongs to these shares (with the place of its value for
        each) and those hold its key."""
        places = dict(belongs)
        mine = held - self._others if self._mine is None else held & self._mine
        after = (held - mine).union(places)
        return Change(
            tuple(
                (self._numbers[share], place)
                for share, place in places.items()
                if self._again or share not in mine
            ),
            tuple(
                self._numbers[share]
                for share in sorted(mine - places.keys())
                if share in self._numbers
            ),
            held if after == held else after,
        )


class Chosen:
    """A choice within a task: see `projector.Effects`."""

    __slots__ = ("_belongs", "_task", "changes", "templates")

    def __init__(self, task: Task, choice: Choice) -> None:
        self.templates = choice.templates
        self.changes: dict[Shares, Change] = {}
        self._task = task
        self._belongs = [(route.share.id, place) for route, place in choice.routes]

    def change(self, held: Shares) -> Change:
        """What follows where those hold the record's key."""
        return self._task.change(self._belongs, held)
