"""卫健: a SQLite database with English column names, its own code lists, and UTC times."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from connectors.samples.database import TableWriter
from connectors.samples.mess import CELLS, Mess, Spots
from connectors.samples.population import ADULT, CHILD, Person, Population

VACCINATION = "wj.vaccination"
CONTRACT = "wj.family_doctor_contract"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_FROM_UTC = timedelta(hours=8)

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
    changed=("team", "TEAM-CORRECTED"), updated="updated_at", updated_format=_TIME,
)  # fmt: skip

_VACCINES = ("HEPB", "BCG", "IPV", "DTAP", "MMR", "JE")


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
            at = self._utc(person, 8)
            for cells in self._doses(person):
                for row in self.mess[VACCINATION].rows(cells, at, spared):
                    self._vaccinations.write(row)
        if person.index == ADULT or (person.index != CHILD and person.share(9, 0.4)):
            at = self._utc(person, 9)
            for row in self.mess[CONTRACT].rows(self._contract(person), at, spared):
                self._contracts.write(row)

    def close(self) -> None:
        """Finish the files."""
        self._vaccinations.close()
        self._contracts.close()

    def _utc(self, person: Person, topic: int) -> datetime:
        return self._population.changed(person, topic) - _FROM_UTC

    def _doses(self, person: Person) -> Iterator[CELLS]:
        doses = 1 if person.index == CHILD else 1 + person.number(10, 3)
        for number in range(doses):
            due = person.index == CHILD or (number == doses - 1 and person.share(11, 0.1))
            given = person.born + timedelta(days=30 * (number + 1))
            yield {
                "citizen_no": person.id_no,
                "full_name": person.name,
                "dob": f"{person.born:%Y-%m-%d}",
                "guardian": person.guardian,
                "vaccine_cd": _VACCINES[(person.index + number) % len(_VACCINES)],
                "lot_no": f"LOT-{person.number(10, 9000) + 1000}",
                "dose": str(number + 1),
                "given_on": "" if due else f"{given:%Y-%m-%d}",
                "site": f"社区卫生服务中心{person.division[4:9]}",
                "overdue_flag": "Y" if due else "N",
                "area_code": person.division,
                "deleted_flag": "N",
                "remark": "",
            }

    def _contract(self, person: Person) -> CELLS:
        signed = self._population.as_of - timedelta(days=10 + person.number(8, 340))
        return {
            "contract_no": f"FD{person.division[:6]}{person.index:08d}",
            "citizen_no": person.id_no,
            "full_name": person.name,
            "team": f"TEAM-{person.division[4:9]}",
            "package_cd": "BPM"[person.number(10, 3)],
            "signed_on": f"{signed:%Y-%m-%d}",
            "valid_until": f"{signed + timedelta(days=365):%Y-%m-%d}",
            "group_cd": "E" if person.age >= 65 else "G",
            "mobile": person.phone,
            "area_code": person.division,
            "deleted_flag": "N",
            "remark": "",
        }
