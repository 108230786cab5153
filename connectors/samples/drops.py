"""What 民政 drops in a day: one row a file, in the form of the first drops.

Law: a file appears whole. Only rows in order are taken up again; a payment of this month is
new once, then corrected.
"""

import csv
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from broker.errors import SourceError
from connectors.samples.mess import CELLS, Spots, spoilt
from connectors.samples.minzheng import (
    ALLOWANCE,
    ALLOWANCE_SPOTS,
    SUBSIDY,
    SUBSIDY_SPOTS,
    DropWriter,
)

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Drop:
    """What the drops of one dataset are like."""

    dataset: str
    folder: str
    stem: str
    key: tuple[str, ...]
    amount: str
    spots: Spots

    def key_of(self, cells: CELLS) -> tuple[str, ...]:
        """The row's key, with the dataset's name before it."""
        return self.dataset, *(str(cells[name]) for name in self.key)


DROPS = {
    one.dataset: one
    for one in (
        Drop(ALLOWANCE, "dibao", "低保", ("证号",), "月保障金", ALLOWANCE_SPOTS),
        Drop(
            SUBSIDY, "canbu", "残补", ("身份证号", "补贴种类", "发放月份"), "补贴金额",
            SUBSIDY_SPOTS,
        ),
    )
}  # fmt: skip
"""By dataset."""


class Dropped:
    """The drops of one dataset: what stands in them, and what is added."""

    def __init__(self, folder: Path, drop: Drop, known: Callable[[str], bool]) -> None:
        self._folder = folder / drop.folder
        self._drop = drop
        self._files = 0
        self._rows: dict[tuple[str, ...], CELLS] = {}
        twice: set[tuple[str, ...]] = set()
        for path in sorted(self._folder.glob("*.csv")):
            with path.open(encoding="gb18030", errors="replace", newline="") as file:
                for cells in csv.DictReader(file):
                    if None in cells.values() or spoilt(cells, drop.spots, known):
                        continue
                    key = drop.key_of(cells)
                    if key in self._rows:
                        twice.add(key)
                    self._rows[key] = cells
        for key in twice:
            del self._rows[key]
        self._order = sorted(self._rows)

    def pick(self, draw: random.Random, fit: Callable[[CELLS], bool]) -> CELLS | None:
        """Some row that is fit."""
        for _ in range(_TRIES if self._order else 0):
            cells = self._rows[draw.choice(self._order)]
            if fit(cells):
                return cells
        return None

    def put(self, cells: CELLS, at: datetime) -> bool:
        """Drop a row as a file of its own; whether its key is new."""
        spots = self._drop.spots
        row = {**cells, spots.updated: at.strftime(spots.updated_format)}
        self._files += 1
        place = self._folder / f"{self._drop.stem}-日间-{self._files:04d}.csv"
        try:
            writer = DropWriter(self._folder / ".new", self._drop.stem, tuple(row))
            writer.write([row])
            writer.close()
            os.replace(self._folder / ".new" / f"{self._drop.stem}-0001.csv", place)
        except OSError as error:
            raise SourceError(
                f"a sample drop cannot be written ({error.strerror})",
                where=str(place.parent),
                mend="see that there is space",
            ) from None
        key = self._drop.key_of(row)
        new = key not in self._rows
        if new:
            self._order.append(key)
        self._rows[key] = row
        return new
