"""卫健: SQLite databases with English column names, their own code lists, and UTC times.

Law: nothing is recorded before it happened, and no dose is given before it is due or
after the day of the build.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from connectors.samples.database import TableWriter
from connectors.samples.mess import CELLS, Mess, Spots
from connectors.samples.population import ADULT, CHILD, Person, Population

VACCINATION = "wj.vaccination"
CONTRACT = "wj.family_doctor_contract"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
FROM_UTC = timedelta(hours=8)

VACCINATION_COLUMNS = (
    "citizen_no", "full_name", "dob", "guardian", "vaccine_cd", "lot_no", "dose", "given_on",
    "site", "overdue_flag", "area_code", "updated_at", "deleted_flag", "remark",
)  # fmt: skip
CONTRACT_COLUMNS = (
    "contract_no", "citizen_no", "full_name", "team", "package_cd", "signed_on", "valid_until",
    "group_cd", "mobile", "area_code", "updated_at", "deleted_flag", "remark",
)  # fmt: skip

VACCINATION_SPOTS = Spots(
    id_no="citizen_no", division="area_code", required="vaccine_cd", misplaced="site",
    bad_date=("dob", "1990-02-30"), undecodable="full_name", changed=("lot_no", "LOT-CORRECTED"),
    updated="updated_at", updated_format=_TIME,
)  # fmt: skip
CONTRACT_SPOTS = Spots(
    id_no="citizen_no", division="area_code", required="citizen_no", misplaced="team",
    bad_date=("signed_on", "1990-02-30"), undecodable="full_name",
    changed=("team", "TEAM-CORRECTED"), updated="updated_at", updated_format=_TIME, missing=None,
)  # fmt: skip

_SCHEDULE = (
    ("HEPB", 1, 0), ("HEPB", 2, 30), ("IPV", 1, 61), ("DTAP", 1, 91), ("MMR", 1, 243),
    ("JE", 1, 730),
)  # fmt: skip
"""Vaccine, dose, and at how many days of age it is due."""
_CHILDS = 4
"""The dose that the child of the demo has missed."""
_MOTHERS = range(20, 46)


class Weijian:
    """Writes a person into the tables of both datasets."""

    def __init__(self, folder: Path, population: Population, seed: int, mess: float) -> None:
        self._population = population
        self._vaccinations = TableWriter(
            folder / "vaccination.db", "vaccination_record", VACCINATION_COLUMNS,
            "updated_at, citizen_no, vaccine_cd, dose",
        )  # fmt: skip
        self._contracts = TableWriter(
            folder / "contract.db", "fd_contract", CONTRACT_COLUMNS, "updated_at, contract_no"
        )
        self.mess = {
            VACCINATION: Mess(VACCINATION, seed, mess, VACCINATION_SPOTS),
            CONTRACT: Mess(CONTRACT, seed, mess, CONTRACT_SPOTS),
        }

    def write(self, person: Person) -> None:
        """Every row about the person."""
        spared = person.index in (ADULT, CHILD)
        if person.age <= 6:
            for cells, since in self._doses(person):
                at = self._utc(person, 8, since)
                for row in self.mess[VACCINATION].rows(cells, at, spared):
                    self._vaccinations.write(row)
        if person.index == ADULT or (person.index != CHILD and person.share(9, 0.4)):
            cells, since = self._contract(person)
            at = self._utc(person, 9, since)
            for row in self.mess[CONTRACT].rows(cells, at, spared):
                self._contracts.write(row)

    def close(self) -> None:
        """Finish the files."""
        self._vaccinations.close()
        self._contracts.close()

    def _utc(self, person: Person, topic: int, since: date) -> datetime:
        return self._population.changed(person, topic, since) - FROM_UTC

    def _doses(self, person: Person) -> Iterator[tuple[CELLS, date]]:
        lived = (self._population.as_of - person.born).days
        late = person.number(10, 15)
        reached = [dose for dose in _SCHEDULE if dose[2] + late < lived]
        if person.index == CHILD:
            reached = [_SCHEDULE[_CHILDS]]
        for place, (vaccine, number, days) in enumerate(reached, 1):
            due = person.index == CHILD or (place == len(reached) and person.share(11, 0.1))
            given = person.born + timedelta(days=days + late)
            cells = {
                "citizen_no": person.id_no,
                "full_name": person.name,
                "dob": f"{person.born:%Y-%m-%d}",
                "guardian": person.guardian,
                "vaccine_cd": vaccine,
                "lot_no": f"LOT-{person.number(10, 9000) + 1000}",
                "dose": str(number),
                "given_on": "" if due else f"{given:%Y-%m-%d}",
                "site": f"社区卫生服务中心{person.division[4:9]}",
                "overdue_flag": "Y" if due else "N",
                "area_code": person.division,
                "deleted_flag": "N",
                "remark": "",
            }
            yield cells, given

    def _contract(self, person: Person) -> tuple[CELLS, date]:
        lived = (self._population.as_of - person.born).days
        signed = self._population.as_of - timedelta(days=min(10 + person.number(8, 340), lived))
        packages = "BPM" if person.sex == "2" and person.age in _MOTHERS else "BP"
        cells = {
            "contract_no": f"FD{person.division[:6]}{person.index:08d}",
            "citizen_no": person.id_no,
            "full_name": person.name,
            "team": f"TEAM-{person.division[4:9]}",
            "package_cd": packages[person.number(10, len(packages))],
            "signed_on": f"{signed:%Y-%m-%d}",
            "valid_until": f"{signed + timedelta(days=365):%Y-%m-%d}",
            "group_cd": "E" if person.age >= 65 else "G",
            "mobile": person.phone,
            "area_code": person.division,
            "deleted_flag": "N",
            "remark": "",
        }
        return cells, signed
