"""The synthetic departments: the same bytes, the same people, nobody real."""

import csv
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from stdnum.cn import ric

from broker.errors import SourceError
from connectors.samples.build import MANIFEST, Expected, build
from connectors.samples.population import ADULT, CHILD, HOME_TOWN, MOST_PEOPLE, Population
from tests import city
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


MAPPINGS = sorted((city.ROOT / "connectors" / "samples" / "mappings").glob("*.yaml"))
PEOPLE = 3_000
ID_COLUMNS = ("gmsfhm", "身份证号", "citizen_no")
UPDATED = {
    "gxsj": "%Y-%m-%d %H:%M:%S", "更新时间": "%Y/%m/%d %H:%M", "updated_at": "%Y-%m-%dT%H:%M:%SZ",
}  # fmt: skip
HAPPENED = {
    "csrq": "%Y%m%d", "qfrq": "%Y%m%d", "dob": "%Y-%m-%d", "given_on": "%Y-%m-%d",
    "signed_on": "%Y-%m-%d",
}  # fmt: skip
Rows = list[dict[str, Any]]


def sources(folder: Path) -> Iterator[tuple[dict[str, Any], list[str], Rows]]:
    """Every source file with its mapping, columns and rows; a short line lacks cells."""
    for file in MAPPINGS:
        mapped = YAML(typ="safe").load(file)
        paths = sorted(folder.glob(mapped["source"]["files"]))
        assert paths, file.name
        for path in paths:
            if mapped["source"]["kind"] == "sql":
                table = mapped["source"]["table"]
                with sqlite3.connect(path) as db:
                    columns = [one[1] for one in db.execute(f"PRAGMA table_info({table})")]
                lines: list[Any] = rows(path, table)
            else:
                with path.open(encoding="gb18030", errors="replace", newline="") as text:
                    columns, *lines = list(csv.reader(text))
            yield mapped, columns, [dict(zip(columns, line, strict=False)) for line in lines]


def by_dataset(folder: Path) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for mapped, _, some in sources(folder):
        found.setdefault(mapped["dataset"], []).extend(some)
    return found


def identity(row: dict[str, Any]) -> Any:
    return next((row[name] for name in ID_COLUMNS if name in row), None)


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Expected]:
    folder = tmp_path_factory.mktemp("messy") / "sources"
    return folder, built(folder, PEOPLE, 3, 0.004)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    folder = tmp_path_factory.mktemp("clean") / "sources"
    built(folder, PEOPLE, 3, 0)
    return by_dataset(folder)


@pytest.mark.parametrize("as_of", [TODAY, date(2024, 2, 29), date(2025, 12, 31)])
def test_ages_and_addresses_are_what_the_other_items_say(as_of: date) -> None:
    homes = set()
    for one in Population(PEOPLE, 3, as_of, DIVISIONS):
        before = (as_of.month, as_of.day) < (one.born.month, one.born.day)
        assert one.age == as_of.year - one.born.year - before and 0 <= one.age <= 95
        for code, address in ((one.division, one.home), (one.hukou_division, one.address)):
            place = "".join(part.name for part in DIVISIONS.path(code))
            assert place and address.startswith("山东省" + place)
        homes.add(one.home)
    assert len(homes) == PEOPLE


def test_id_numbers_stay_unique_to_the_last_person() -> None:
    population = Population(MOST_PEOPLE, 3, TODAY, DIVISIONS)
    ends = [*range(1_500), *range(MOST_PEOPLE - 1_500, MOST_PEOPLE)]
    found = [population.person(index).id_no for index in ends]
    assert all(len(number) == 18 for number in found)
    assert len({number[:6] + number[14:17] for number in found}) == len(found)


def test_the_population_is_like_a_population(clean: dict[str, Rows]) -> None:
    people = list(Population(PEOPLE, 3, TODAY, DIVISIONS))
    shares = {name: len({identity(row) for row in some}) for name, some in clean.items()} | {
        "minors": sum(one.age < 18 for one in people),
        "old": sum(one.age >= 65 for one in people),
        "men": sum(one.sex == "1" for one in people),
    }
    wanted = {
        "ga.resident_base": (0.99, 1.0), "ga.residence_permit": (0.06, 0.12),
        "mz.subsistence_allowance": (0.02, 0.05), "mz.disability_subsidy": (0.02, 0.04),
        "wj.vaccination": (0.06, 0.10), "wj.family_doctor_contract": (0.36, 0.44),
        "minors": (0.17, 0.25), "old": (0.12, 0.18), "men": (0.47, 0.53),
    }  # fmt: skip
    for name, (least, most) in wanted.items():
        assert least <= shares[name] / PEOPLE <= most, name


def test_the_same_people_in_all_departments(clean: dict[str, Rows]) -> None:
    known = {one.id_no: one for one in Population(PEOPLE, 3, TODAY, DIVISIONS)}
    for some in clean.values():
        for row in some:
            name = next(row[key] for key in ("xm", "姓名", "full_name") if key in row)
            assert known[identity(row)].name == name
    permits = clean["ga.residence_permit"]
    assert all(row["jzdz"] == known[row["gmsfhm"]].home for row in permits)
    assert any(row["jzdz"] != known[row["gmsfhm"]].address for row in permits)


def test_nothing_is_recorded_before_it_happened_or_after_the_day(clean: dict[str, Rows]) -> None:
    midnight = datetime.combine(TODAY, datetime.min.time())
    for row in (row for some in clean.values() for row in some):
        column = next(name for name in UPDATED if name in row)
        local = datetime.strptime(row[column], UPDATED[column])
        local += timedelta(hours=8 if column == "updated_at" else 0)
        assert midnight - timedelta(days=731) <= local < midnight
        for name in HAPPENED.keys() & {name for name, value in row.items() if value}:
            assert datetime.strptime(row[name], HAPPENED[name]) <= local, name
    for row in clean["wj.family_doctor_contract"]:
        assert row["package_cd"] != "M" or int(row["citizen_no"][16]) % 2 == 0
    child = Population(PEOPLE, 3, TODAY, DIVISIONS).person(CHILD)
    (dose,) = (row for row in clean["wj.vaccination"] if identity(row) == child.id_no)
    assert (dose["overdue_flag"], dose["given_on"], dose["guardian"]) == ("Y", "", child.guardian)


def test_the_manifest_counts_the_rows_that_are_there(messy: tuple[Path, Expected]) -> None:
    folder, expected = messy
    assert json.loads((folder / MANIFEST).read_text("utf-8")) == expected
    found = by_dataset(folder)
    assert {name: len(some) for name, some in found.items()} == {
        name: counts["rows"] for name, counts in expected.items()
    }
    residents = found["ga.resident_base"]
    assert {len(row["zt"]) for row in residents if len(row["zt"]) > 10} == {11, 18}
    assert any(row["xm"] is None for row in residents)
    drops = b"".join(path.read_bytes() for path in folder.glob("minzheng/*/*.csv"))
    assert b"\xff\xff" in drops and b"\n" not in drops.replace(b"\r\n", b"")


def test_each_kind_of_mess_is_found_for_its_own_reason(
    tmp_path: Path, messy: tuple[Path, Expected]
) -> None:
    """The real collector over the built sources finds what the manifest declares."""
    city.use_mapping(tmp_path, *(file.stem for file in MAPPINGS))
    with city.city(tmp_path, sources=messy[0]) as broker:
        for dataset, counts in messy[1].items():
            reports = city.collect(broker, dataset, limit=500)
            assert all(one.error is None for one in reports)
            reasons: Counter[str] = sum((one.counts.reasons for one in reports), Counter())
            wanted = Counter(counts["mess"])
            del wanted["duplicate_identical"], wanted["duplicate_later"]
            wanted["duplicate_key"] = 2 * wanted.pop("duplicate_differing")
            assert reasons == wanted, dataset
            live = sum(one.counts.appended - one.counts.superseded for one in reports)
            twice = sum(one.counts.duplicates + one.counts.superseded for one in reports)
            assert (live, twice) == (counts["live_keys"], counts["duplicates"]), dataset


def test_every_mapping_names_the_columns_that_are_there(messy: tuple[Path, Expected]) -> None:
    for mapped, columns, _ in sources(messy[0]):
        soft = [mapped["soft_delete"]["column"]] if mapped["deletes"] == "soft_delete" else []
        named = [*mapped["columns"], *mapped["ignore"], *soft]
        assert sorted(named) == sorted(columns), mapped["dataset"]


@pytest.mark.parametrize("people", [-1, 0, 1, MOST_PEOPLE + 1])
def test_a_number_of_people_out_of_range_is_refused(tmp_path: Path, people: int) -> None:
    with pytest.raises(SourceError, match="people must be"):
        built(tmp_path / "new", people=people)
    assert not (tmp_path / "new").exists()
