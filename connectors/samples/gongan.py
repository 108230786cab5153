"""公安: a SQLite database a table and county, pinyin column names, local time, soft deletes.

Law: no record is older than what it is about (a birth, the issue of a permit).
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from connectors.samples.database import TableWriter
from connectors.samples.mess import CELLS, Mess, Spots
from connectors.samples.population import ADULT, CHILD, Person, Population

RESIDENT = "ga.resident_base"
PERMIT = "ga.residence_permit"
_TIME = "%Y-%m-%d %H:%M:%S"

RESIDENT_COLUMNS = (
    "gmsfhm", "xm", "xb", "csrq", "hjdz", "zt", "xzqh", "gxsj", "zxbz", "bz",
)  # fmt: skip
PERMIT_COLUMNS = (
    "jzzbh", "gmsfhm", "xm", "csrq", "jzdz", "hjqh", "qfrq", "qzyxq", "lxdh", "xzqh", "gxsj",
    "zxbz", "bz",
)  # fmt: skip

RESIDENT_SPOTS = Spots(
    id_no="gmsfhm", division="xzqh", required="xm", misplaced="zt", bad_date=("csrq", "19900230"),
    undecodable="xm", changed=("hjdz", "地址更正中"), updated="gxsj", updated_format=_TIME,
    missing=None,
)  # fmt: skip
PERMIT_SPOTS = Spots(
    id_no="gmsfhm", division="xzqh", required="jzzbh", misplaced="hjqh",
    bad_date=("qfrq", "19900230"), undecodable="jzdz", changed=("jzdz", "地址更正中"),
    updated="gxsj", updated_format=_TIME,
)  # fmt: skip


class Gongan:
    """Writes a person into the database of the county the person lives in."""

    def __init__(self, folder: Path, population: Population, seed: int, mess: float) -> None:
        self._folder = folder
        self._population = population
        self._tables: dict[tuple[str, str], TableWriter] = {}
        self.mess = {
            RESIDENT: Mess(RESIDENT, seed, mess, RESIDENT_SPOTS),
            PERMIT: Mess(PERMIT, seed, mess, PERMIT_SPOTS),
        }

    def write(self, person: Person) -> None:
        """Every row about the person."""
        spared = person.index in (ADULT, CHILD)
        county = person.division[:6]
        at = self._population.changed(person, 0, person.born)
        residents = self._table(county, "t_rkxx", RESIDENT_COLUMNS, "gxsj, gmsfhm")
        for cells in self.mess[RESIDENT].rows(resident_cells(person), at, spared):
            residents.write(cells)
        permits = self._table(county, "t_jzz", PERMIT_COLUMNS, "gxsj, jzzbh")
        for permit, issued in self._permits(person):
            at = self._population.changed(person, 1, issued)
            for cells in self.mess[PERMIT].rows(permit, at, False):
                permits.write(cells)

    def close(self) -> None:
        """Finish the files."""
        for table in self._tables.values():
            table.close()

    def _table(self, county: str, table: str, columns: tuple[str, ...], index: str) -> TableWriter:
        found = self._tables.get((county, table))
        if found is None:
            path = self._folder / f"{table}-{county}.db"
            found = self._tables[county, table] = TableWriter(path, table, columns, index)
        return found

    def _permits(self, person: Person) -> Iterator[tuple[CELLS, date]]:
        if person.index in (ADULT, CHILD) or person.age < 16 or not person.share(2, 0.1):
            return
        issued = self._population.as_of - timedelta(days=30 + person.number(3, 700))
        cells = {
            "jzzbh": f"JZ{person.division[:6]}{person.index:09d}",
            "gmsfhm": person.id_no,
            "xm": person.name,
            "csrq": f"{person.born:%Y%m%d}",
            "jzdz": person.home,
            "hjqh": person.hukou_division,
            "qfrq": f"{issued:%Y%m%d}",
            "qzyxq": f"{issued + timedelta(days=365):%Y%m%d}",
            "lxdh": person.phone,
            "xzqh": person.division,
            "zxbz": "0",
            "bz": "",
        }
        yield cells, issued


def resident_cells(person: Person) -> CELLS:
    """The person's row in the resident database, without the time of change."""
    return {
        "gmsfhm": person.id_no,
        "xm": person.name,
        "xb": person.sex,
        "csrq": f"{person.born:%Y%m%d}",
        "hjdz": person.address,
        "zt": "moved_out" if person.share(4, 0.02) and person.index > CHILD else "normal",
        "xzqh": person.division,
        "zxbz": "0",
        "bz": f"联系 {person.phone}" if person.share(5, 0.05) else "",
    }
