"""The synthetic departments: the same bytes, the same people, nobody real."""

import csv
import hashlib
import sqlite3
from datetime import date
from pathlib import Path

import pytest
from stdnum.cn import ric

from broker.errors import SourceError
from connectors.samples.build import Expected, build
from connectors.samples.population import ADULT, CHILD, HOME_TOWN, Population
from tests.laws.records import DIVISIONS

TODAY = date(2026, 11, 23)


def built(folder: Path, people: int = 400, seed: int = 1, mess: float = 0.001) -> Expected:
    return build(folder, people=people, seed=seed, as_of=TODAY, divisions=DIVISIONS, mess=mess)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(file: Path, table: str) -> list[tuple[str, ...]]:
    with sqlite3.connect(file) as db:
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        return db.execute(f"SELECT * FROM {table}").fetchall()


def test_equal_seed_and_day_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        built(tmp_path / name)
    built(tmp_path / "c", seed=2)
    assert digests(tmp_path / "a") == digests(tmp_path / "b") != digests(tmp_path / "c")
    with pytest.raises(SourceError, match="not empty"):
        built(tmp_path / "a")


def test_a_person_is_the_same_whatever_the_size() -> None:
    small, large = (Population(n, 1, TODAY, DIVISIONS) for n in (10, 10_000))
    assert [small.person(i) for i in range(10)] == [large.person(i) for i in range(10)]


def test_nobody_is_real_and_everybody_is_unique() -> None:
    people = list(Population(3_000, 1, TODAY, DIVISIONS))
    assert len({one.id_no for one in people}) == len({one.phone for one in people}) == 3_000
    for one in people:
        assert one.id_no.startswith("99") and ric.calc_check_digit(one.id_no) == one.id_no[17]
        assert one.id_no[6:14] == f"{one.born:%Y%m%d}"
        assert (int(one.id_no[16]) % 2 == 1) == (one.sex == "1")
        assert one.phone.startswith("154") and DIVISIONS.get(one.division)
        assert bool(one.guardian) == (one.age < 18)


def test_the_two_residents_of_the_demo(tmp_path: Path) -> None:
    built(tmp_path / "s")
    population = Population(400, 1, TODAY, DIVISIONS)
    adult, child = population.person(ADULT), population.person(CHILD)
    assert adult.division.startswith(HOME_TOWN) and child.division.startswith(HOME_TOWN)
    assert 40 <= adult.age <= 50 and child.age == 3
    where: dict[str, list[str]] = {adult.id_no: [], child.id_no: []}
    tables = [(path, "t_rkxx") for path in (tmp_path / "s" / "gongan").glob("t_rkxx*")] + [
        (tmp_path / "s" / "weijian" / "vaccination.db", "vaccination_record"),
        (tmp_path / "s" / "weijian" / "contract.db", "fd_contract"),
    ]
    for file, table in tables:
        for row in rows(file, table):
            for number in where:
                where[number] += [table] * (number in row)
    for file in (tmp_path / "s" / "minzheng").rglob("*.csv"):
        with file.open(encoding="gb18030", errors="replace", newline="") as lines:
            for row in csv.DictReader(lines):
                if row["身份证号"] in where:
                    where[row["身份证号"]].append(file.parent.name)
    assert sorted(set(where[adult.id_no])) == ["canbu", "dibao", "fd_contract", "t_rkxx"]
    assert sorted(where[child.id_no]) == ["t_rkxx", "vaccination_record"]


def test_every_kind_of_mess_occurs_and_the_sums_hold(tmp_path: Path) -> None:
    expected = built(tmp_path / "s", people=3_000)
    for dataset, counts in expected.items():
        assert counts["rows"] == (
            counts["live_keys"] + counts["quarantined"] + counts["duplicates"]
        )
        assert len(counts["mess"]) == (10 if dataset.startswith("mz.") else 9), dataset
    clean = built(tmp_path / "clean", mess=0)
    assert all(not counts["mess"] for counts in clean.values())
