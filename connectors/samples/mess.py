"""The disorder of real records, put in on purpose and counted.

Law: which row is wrong, and how, is a function of (seed, dataset, row number); the two
residents of the demo are left alone. For every dataset rows = live keys + quarantined +
duplicates; the build writes down what is to be expected.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from stdnum.cn import ric

UNDECODABLE = b"\xff\xff"
"""Neither UTF-8 nor GB18030."""

_MISPLACED = re.compile(r"\d{11}|\d{17}[\dX]")
_FIRST = 12
"""From this row on each kind of mess occurs once, however small the share."""

CELLS = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spots:
    """The columns of a feed where mess can sit. `bad_date` is (column, text); `missing` is
    what stands for nothing in `required`."""

    id_no: str
    division: str
    required: str
    misplaced: str
    bad_date: tuple[str, str]
    undecodable: str
    changed: tuple[str, str]
    updated: str
    updated_format: str
    ragged: bool = False
    missing: str | None = ""


@dataclass(slots=True)
class Expected:
    """What a feed's rows must become."""

    rows: int = 0
    quarantined: int = 0
    duplicates: int = 0
    mess: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """As the manifest states it."""
        return {
            "rows": self.rows,
            "live_keys": self.rows - self.quarantined - self.duplicates,
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            "mess": dict(sorted(self.mess.items())),
        }


class Mess:
    """The mess of one feed."""

    def __init__(self, dataset: str, seed: int, share: float, spots: Spots) -> None:
        self._salt = f"{seed}/{dataset}/"
        self._share = share
        self._spots = spots
        self.expected = Expected()
        self._number = 0
        self.kinds = (
            "wrong_check_digit", "unknown_division", "impossible_date", "undecodable",
            "missing_mandatory", "misplaced_identifier", "duplicate_identical",
            "duplicate_later", "duplicate_differing", *(["too_few_cells"] if spots.ragged else []),
        )  # fmt: skip

    def rows(self, cells: CELLS, at: datetime, spared: bool) -> Iterator[CELLS]:
        """The row as it is written: as it should be, spoilt, or twice."""
        cells = {**cells, self._spots.updated: at.strftime(self._spots.updated_format)}
        kind = "" if spared else self._kind(self._number)
        self._number += 1
        written = self._spoil(kind, cells, at) if kind else [cells]
        self.expected.rows += len(written)
        if kind:
            self.expected.mess[kind] += 1
            if kind in ("duplicate_identical", "duplicate_later"):
                self.expected.duplicates += 1
            else:
                self.expected.quarantined += len(written)
        yield from written

    def _kind(self, number: int) -> str:
        if self._share <= 0:
            return ""
        if _FIRST <= number < _FIRST + len(self.kinds):
            return self.kinds[number - _FIRST]
        digest = hashlib.blake2b(f"{self._salt}{number}".encode(), digest_size=8).digest()
        drawn = int.from_bytes(digest, "big") / (1 << 64) / self._share
        return self.kinds[int(drawn)] if drawn < len(self.kinds) else ""

    def _spoil(self, kind: str, cells: CELLS, at: datetime) -> list[CELLS]:
        spots = self._spots
        match kind:
            case "wrong_check_digit":
                number = cells[spots.id_no]
                return [{**cells, spots.id_no: number[:17] + ("1" if number[17] != "1" else "2")}]
            case "unknown_division":
                return [{**cells, spots.division: "371599999999"}]
            case "impossible_date":
                return [{**cells, spots.bad_date[0]: spots.bad_date[1]}]
            case "undecodable":
                return [{**cells, spots.undecodable: UNDECODABLE}]
            case "missing_mandatory":
                return [{**cells, spots.required: spots.missing}]
            case "misplaced_identifier":
                return [{**cells, spots.misplaced: _somebodys_number(self._number)}]
            case "duplicate_identical":
                return [cells, dict(cells)]
            case "duplicate_later":
                earlier = (at - timedelta(hours=1)).strftime(spots.updated_format)
                return [
                    {**cells, spots.updated: earlier, spots.changed[0]: spots.changed[1]},
                    cells,
                ]
            case "duplicate_differing":
                return [cells, {**cells, spots.changed[0]: spots.changed[1]}]
            case _:
                return [dict(list(cells.items())[: len(cells) // 2])]


def spoilt(cells: CELLS, spots: Spots, known: Callable[[str], bool]) -> bool:
    """Whether a row that was read back has mess in it; `known` says which divisions exist.
    Bytes that cannot be decoded are to be read as U+FFFD. A row that stands twice is not told."""
    number = str(cells[spots.id_no] or "")
    return (
        len(number) != 18
        or ric.calc_check_digit(number) != number[17]
        or not known(str(cells[spots.division]))
        or cells[spots.required] == spots.missing
        or cells[spots.bad_date[0]] == spots.bad_date[1]
        or "\ufffd" in str(cells[spots.undecodable])
        or _MISPLACED.fullmatch(str(cells[spots.misplaced])) is not None
    )


def _somebodys_number(number: int) -> str:
    """An ID number, or by turns a mobile number: neither belongs where it is put."""
    if number % 2:
        return f"154{number % 10**8:08d}"
    start = f"998888{1950 + number % 50}0704{number % 1000:03d}"
    return start + ric.calc_check_digit(start + "0")
