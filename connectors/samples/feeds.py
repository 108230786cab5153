"""The tables of 公安 and 卫健 as the day finds them: rows read, and written in place.

Law: of a key at most one row is left by a write; a row with mess in it is never handed out.
"""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from broker.errors import SourceError
from connectors.samples import gongan, weijian
from connectors.samples.mess import CELLS, Spots, spoilt

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Feed:
    """A table of a department. `file` may hold a county; `gone` is the soft delete."""

    dataset: str
    file: str
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    spots: Spots
    gone: tuple[str, str]
    utc: bool

    def key_of(self, cells: CELLS) -> tuple[str, ...]:
        """The row's key, with the dataset's name before it."""
        return self.dataset, *(str(cells[name]) for name in self.key)


FEEDS = {
    one.dataset: one
    for one in (
        Feed(
            gongan.RESIDENT, "gongan/t_rkxx-{county}.db", "t_rkxx", gongan.RESIDENT_COLUMNS,
            ("gmsfhm",), gongan.RESIDENT_SPOTS, ("zxbz", "1"), False,
        ),
        Feed(
            gongan.PERMIT, "gongan/t_jzz-{county}.db", "t_jzz", gongan.PERMIT_COLUMNS,
            ("jzzbh",), gongan.PERMIT_SPOTS, ("zxbz", "1"), False,
        ),
        Feed(
            weijian.CONTRACT, "weijian/contract.db", "fd_contract", weijian.CONTRACT_COLUMNS,
            ("contract_no",), weijian.CONTRACT_SPOTS, ("deleted_flag", "Y"), True,
        ),
        Feed(
            weijian.VACCINATION, "weijian/vaccination.db", "vaccination_record",
            weijian.VACCINATION_COLUMNS, ("citizen_no", "vaccine_cd", "dose"),
            weijian.VACCINATION_SPOTS, ("deleted_flag", "Y"), True,
        ),
    )
}  # fmt: skip
"""By dataset."""


class Table:
    """One table in one file; `known` says which divisions exist."""

    def __init__(self, folder: Path, feed: Feed, county: str, known: Callable[[str], bool]) -> None:
        self._path = folder / feed.file.format(county=county)
        self._feed = feed
        self._known = known

    def ensure(self) -> None:
        """Make the table where there is none, so that somebody may come there."""
        with self._open() as db:
            names = ", ".join(f"{name} TEXT" for name in self._feed.columns)
            db.execute(f"CREATE TABLE IF NOT EXISTS {self._feed.table} ({names})")

    def pick(self, draw: random.Random, fit: Callable[[CELLS], bool]) -> CELLS | None:
        """Some row in order that is fit, not gone, and alone with its key."""
        column, gone = self._feed.gone
        with self._open() as db:
            last = db.execute(f"SELECT coalesce(max(rowid), 0) FROM {self._feed.table}").fetchone()
            for _ in range(_TRIES if last[0] else 0):
                cells = self._one(db, "rowid=?", [draw.randint(1, last[0])])
                if (
                    cells
                    and cells[column] != gone
                    and not spoilt(cells, self._feed.spots, self._known)
                    and fit(cells)
                    and self._alone(db, cells)
                ):
                    return cells
        return None

    def standing(self, id_no: str) -> CELLS | None:
        """The row about the person of that number, unless it is gone."""
        column, gone = self._feed.gone
        with self._open() as db:
            return self._one(db, f"{self._feed.spots.id_no}=? AND {column}<>?", [id_no, gone])

    def put(self, cells: CELLS, at: datetime) -> None:
        """Write a row, changed at `at` (the city's time), in place of those with its key."""
        spots = self._feed.spots
        dated = (at - weijian.FROM_UTC if self._feed.utc else at).strftime(spots.updated_format)
        row = {**cells, spots.updated: dated}
        marks = ", ".join("CAST(? AS TEXT)" for _ in self._feed.columns)
        with self._open() as db, db:
            db.execute(f"DELETE FROM {self._feed.table} WHERE {self._same()}", self._keys(row))
            db.execute(
                f"INSERT INTO {self._feed.table} VALUES ({marks})",
                [row[name] for name in self._feed.columns],
            )

    def remove(self, cells: CELLS, at: datetime) -> None:
        """Mark a row as gone."""
        column, gone = self._feed.gone
        self.put({**cells, column: gone}, at)

    def _one(self, db: sqlite3.Connection, where: str, values: list[object]) -> CELLS | None:
        row = db.execute(f"SELECT * FROM {self._feed.table} WHERE {where}", values).fetchone()
        return dict(row) if row else None

    def _alone(self, db: sqlite3.Connection, cells: CELLS) -> bool:
        query = f"SELECT count(*) FROM {self._feed.table} WHERE {self._same()}"
        return bool(db.execute(query, self._keys(cells)).fetchone()[0] == 1)

    def _same(self) -> str:
        return " AND ".join(f"{name}=?" for name in self._feed.key)

    def _keys(self, cells: CELLS) -> list[object]:
        return [cells[name] for name in self._feed.key]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=30)
        db.row_factory = sqlite3.Row
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            yield db
        except sqlite3.Error:
            raise SourceError(
                "a sample database cannot be read or written",
                where=str(self._path),
                mend="see that there is space, and that nothing else holds it",
            ) from None
        finally:
            db.close()
