"""The division table 区划: codes, names, tiers, and the scopes cut from them.

Law: a scope is chosen from the table and cut by the table's tier, never by stripping
zeros (ten of the sample city's towns end in 0). A code that is not in the table is no scope.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from broker.errors import CatalogError, GrantError
from broker.model import Division, Scope

DIGITS = {"province": 2, "city": 4, "county": 6, "town": 9, "village": 12}
"""Significant digits of a code by tier."""

_FULL = 12


class Divisions:
    """The table, by 12-digit code."""

    def __init__(self, divisions: Iterable[Division]) -> None:
        self._by_code = {division.code: division for division in divisions}
        self._by_scope = {
            division.code[: DIGITS[division.tier]]: division for division in self._by_code.values()
        }

    def all(self) -> tuple[Division, ...]:
        """Every division, in the table's order."""
        return tuple(self._by_code.values())

    def get(self, code: str) -> Division | None:
        """The division of a 12-digit code; None where the table has none."""
        return self._by_code.get(code)

    def scope(self, code: str) -> Scope:
        """The scope of a full code, or of a code of exactly 2, 4, 6, 9 or 12 digits."""
        division = self._by_scope.get(code) or self._by_code.get(code)
        if division is None:
            raise GrantError(
                f"division {code} is not in the division table",
                mend="choose a code of schemas/divisions.csv",
            )
        return Scope(division.code[: DIGITS[division.tier]])

    def path(self, code: str) -> list[Division]:
        """The divisions that hold this 12-digit code, widest first, itself last."""
        own = self._by_code.get(code)
        if own is None:
            return []
        found = (
            self._by_scope.get(code[:digits])
            for digits in DIGITS.values()
            if digits <= DIGITS[own.tier]
        )
        return [division for division in found if division is not None]


def load_divisions(path: Path) -> Divisions:
    """Read the table (CSV: division_code, name, tier); `CatalogError` names the line."""
    divisions: list[Division] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            line = len(divisions) + 2
            code, tier = row.get("division_code") or "", row.get("tier") or ""
            if len(code) != _FULL or not code.isdecimal():
                raise _wrong("a division code has 12 digits", path, line)
            if tier not in DIGITS:
                raise _wrong(f"unknown tier {tier!r}", path, line)
            if code[DIGITS[tier] :].strip("0"):
                raise _wrong(f"a {tier} code ends in zeros", path, line)
            if code in seen:
                raise _wrong(f"division {code} stands twice", path, line)
            seen.add(code)
            divisions.append(Division(code, row.get("name") or "", tier))
    return Divisions(divisions)


def _wrong(what: str, path: Path, line: int) -> CatalogError:
    return CatalogError(what, where=f"{path}:{line}", mend="mend the division table")
