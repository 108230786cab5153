"""A day in the sample departments: people arrive, rows change, people move and go.

Law: what happens, and to whom, is a function of the seed and of what stands in the sources;
of the time only the date of the change. A row with mess in it, and the two residents of the
demo, are left alone. Nothing but the departments' own sources is written.
"""

import random
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from connectors.samples.drops import DROPS, Drop, Dropped
from connectors.samples.feeds import FEEDS, Feed, Table
from connectors.samples.gongan import PERMIT, RESIDENT, resident_cells
from connectors.samples.mess import CELLS
from connectors.samples.minzheng import ALLOWANCE, SUBSIDY
from connectors.samples.population import ADULT, CHILD, Population
from connectors.samples.weijian import CONTRACT, VACCINATION

NEW, CHANGED, MOVED, DELETED = "new", "changed", "moved", "deleted"
RATES = {NEW: 0.2, CHANGED: 0.5, MOVED: 0.2, DELETED: 0.1}
"""How much of what happens in a day is of which kind."""

_WHERE = {
    NEW: {RESIDENT: 3, SUBSIDY: 1},
    CHANGED: {RESIDENT: 3, CONTRACT: 2, VACCINATION: 2, PERMIT: 1, ALLOWANCE: 1},
    MOVED: {RESIDENT: 1},
    DELETED: {RESIDENT: 2, CONTRACT: 1},
}
"""In which datasets each kind happens, and how often beside the others."""

_REST = timedelta(minutes=2)
"""For so long a row is left alone after a change: some departments date by the minute."""
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Happening:
    """One change in one dataset: in which county, and of a move, which county was left."""

    kind: str
    dataset: str
    county: str
    left: str = ""


class Day:
    """Plays the day in the sources below `folder`; several threads may ask."""

    def __init__(self, folder: Path, population: Population, seed: int) -> None:
        self._population = population
        self._draw = random.Random(f"day/{seed}")
        self._villages: dict[str, list[str]] = defaultdict(list)
        for village in population.villages:
            self._villages[village[:6]].append(village)
        known = frozenset(population.villages).__contains__
        self._tables = {
            (feed.dataset, county): Table(folder, feed, county, known)
            for feed in FEEDS.values()
            for county in self._villages
        }
        self._drops = {
            drop.dataset: Dropped(folder / "minzheng", drop, known) for drop in DROPS.values()
        }
        for county in self._villages:
            self._tables[RESIDENT, county].ensure()
            self._tables[PERMIT, county].ensure()
        self._touched: dict[tuple[str, ...], datetime] = {}
        self._arrived = population.people
        self._spared = {population.person(one).id_no for one in (ADULT, CHILD)}
        self._lock = threading.Lock()

    @property
    def counties(self) -> list[str]:
        """The counties, by code."""
        return list(self._villages)

    def next(self, now: datetime) -> Happening:
        """The next change, dated `now` (the city's time)."""
        with self._lock:
            for _ in range(_TRIES):
                kind = self._chosen(RATES)
                found = self._happen(kind, self._chosen(_WHERE[kind]), now)
                if found is not None:
                    return found
            return self._arrive(now)

    def move(self, index: int, county: str, now: datetime) -> Happening | None:
        """Person `index` moves to a county; None where the person lives there already."""
        with self._lock:
            left = self.home(index)
            if left in ("", county):
                return None
            cells = self._tables[RESIDENT, left].standing(self._population.person(index).id_no)
            return self._move(cells, left, county, now) if cells else None

    def home(self, index: int) -> str:
        """The county whose police have person `index` on their books; empty where none has."""
        return self.village(index)[:6]

    def village(self, index: int) -> str:
        """The village that those police have person `index` in; empty where none has."""
        id_no = self._population.person(index).id_no
        rows = (self._tables[RESIDENT, one].standing(id_no) for one in self._villages)
        return next((str(row["xzqh"]) for row in rows if row), "")

    def _chosen(self, weights: dict[str, float] | dict[str, int]) -> str:
        return self._draw.choices(list(weights), list(weights.values()))[0]

    def _happen(self, kind: str, dataset: str, now: datetime) -> Happening | None:
        if kind == NEW and dataset == RESIDENT:
            return self._arrive(now)
        if dataset in DROPS:
            return self._dropped(kind, dataset, now)
        county = self._draw.choice(self.counties)
        feed, table = FEEDS[dataset], self._tables[dataset, county]
        cells = table.pick(self._draw, self._fit(feed, now))
        if cells is None:
            return None
        if kind == MOVED:
            others = [one for one in self._villages if one != county]
            return self._move(cells, county, self._draw.choice(others), now)
        self._touched[feed.key_of(cells)] = now
        if kind == DELETED:
            table.remove(cells, now)
        else:
            table.put({**cells, **self._changes(dataset, cells, now)}, now)
        return Happening(kind, dataset, str(cells[feed.spots.division])[:6])

    def _arrive(self, now: datetime) -> Happening:
        person = self._population.person(self._arrived)
        self._arrived += 1
        county = person.division[:6]
        cells = resident_cells(person)
        self._touched[FEEDS[RESIDENT].key_of(cells)] = now
        self._tables[RESIDENT, county].put(cells, now)
        return Happening(NEW, RESIDENT, county)

    def _move(self, cells: CELLS, left: str, county: str, now: datetime) -> Happening:
        """The county that is left closes its row a second before the other opens one."""
        self._touched[FEEDS[RESIDENT].key_of(cells)] = now
        self._tables[RESIDENT, left].remove(cells, now - timedelta(seconds=1))
        village = self._draw.choice(self._villages[county])
        address = self._population.address(village, self._draw.randrange(2_000))
        moved = {**cells, "xzqh": village, "hjdz": address}
        self._tables[RESIDENT, county].put(moved, now)
        return Happening(MOVED, RESIDENT, county, left)

    def _dropped(self, kind: str, dataset: str, now: datetime) -> Happening | None:
        drop, dropped = DROPS[dataset], self._drops[dataset]
        cells = dropped.pick(self._draw, self._fit(drop, now))
        if cells is None:
            return None
        changes: CELLS = {drop.amount: f"{260 + self._draw.randrange(640)}.00"}
        if kind == NEW:
            changes = {"发放月份": f"{now:%Y年%m月}"}
        row = {**cells, **changes}
        if not self._fit(drop, now)(row):
            return None
        self._touched[drop.key_of(row)] = now
        new = dropped.put(row, now)
        return Happening(NEW if new else CHANGED, dataset, str(cells[drop.spots.division])[:6])

    def _changes(self, dataset: str, cells: CELLS, now: datetime) -> CELLS:
        number, until = self._draw.randrange(2_000), now + timedelta(days=365)
        if dataset == RESIDENT:
            return {"hjdz": self._at_home(cells, number)}
        if dataset == PERMIT:
            return {"qzyxq": f"{until:%Y%m%d}", "jzdz": self._at_home(cells, number)}
        if dataset == CONTRACT:
            return {"signed_on": f"{now:%Y-%m-%d}", "valid_until": f"{until:%Y-%m-%d}"}
        if cells["overdue_flag"] == "Y":
            return {"overdue_flag": "N", "given_on": f"{now:%Y-%m-%d}"}
        return {"lot_no": f"LOT-{1_000 + number}"}

    def _at_home(self, cells: CELLS, number: int) -> str:
        return self._population.address(str(cells["xzqh"]), number)

    def _fit(self, feed: Feed | Drop, now: datetime) -> Callable[[CELLS], bool]:
        """Which rows may be changed now."""

        def fit(cells: CELLS, feed: Feed | Drop = feed) -> bool:
            touched = self._touched.get(feed.key_of(cells))
            rested = touched is None or now - touched >= _REST
            return rested and cells[feed.spots.id_no] not in self._spared

        return fit
