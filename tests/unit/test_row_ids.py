"""Rows with ids: a key that changed, two rows that have one key, one of them deleted."""

import sqlite3
import time
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from tests import city, recompute
from tests.faults.bad import NOW, entries, live
from tests.mappings import RESIDENTS, change_mapping, compare_residents, give_row_ids
from tests.unit.test_comparison import run

DATASET = "ga.resident_base"


def rows_by_id(folder: Path) -> Path:
    city.use_mapping(folder)
    give_row_ids(folder)
    return city.county(folder, "371502")


def later(minutes: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW.timestamp() + 60 * minutes))


def number(resident: int) -> str:
    return city.resident(resident, NOW)["gmsfhm"]


def rekey(path: Path, old: int, new: int, minutes: int, row: str = "") -> None:
    """A row gets another ID number, and says so in its time of change."""
    with sqlite3.connect(path) as db:
        changed = db.execute(
            "UPDATE t_rkxx SET gmsfhm = ?, gxsj = ? WHERE gmsfhm = ? AND (? = '' OR bz = ?)",
            (
                city.resident(new, NOW)["gmsfhm"],
                later(minutes),
                city.resident(old, NOW)["gmsfhm"],
                row,
                row,
            ),
        )
        assert changed.rowcount == 1


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_row_whose_key_changed_leaves_nothing_behind(tmp_path: Path, limit: int) -> None:
    path = rows_by_id(tmp_path)
    city.put(path, *(city.resident(n, NOW, bz=str(n)) for n in range(6)))
    with city.city(tmp_path) as broker:
        run(broker, limit=limit)
        rekey(path, 1, 101, 5)
        report = run(broker, limit=limit)
        assert (report.counts.appended, report.counts.deleted) == (1, 1)
        assert live(broker, DATASET) == 6
        assert run(broker, limit=limit).counts.unchanged >= 6, "read again, nothing is new"
        assert live(broker, DATASET) == 6


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_two_rows_that_change_keys_in_a_ring(tmp_path: Path, limit: int) -> None:
    path = rows_by_id(tmp_path)
    city.put(path, *(city.resident(n, NOW, bz=f"r{n}") for n in range(4)))
    with city.city(tmp_path) as broker:
        run(broker, limit=limit)
        rekey(path, 1, 900, 5)
        rekey(path, 2, 1, 6)
        rekey(path, 900, 2, 7)
        run(broker, limit=limit)
        assert live(broker, DATASET) == 4
        held = {
            broker.sealer.open("collected.ga.resident_base", key, value).body
            for key, value in recompute.newest(broker, "collected.ga.resident_base").items()
        }
        assert len(held) == 4
        for number in (1, 2):
            gone = city.resident(number, NOW)["gmsfhm"].encode()
            assert sum(gone in body for body in held) == 1


def test_a_deleted_row_whose_key_changed(tmp_path: Path) -> None:
    path = rows_by_id(tmp_path)
    city.put(path, city.resident(1, NOW, bz="r"))
    with city.city(tmp_path) as broker:
        run(broker)
        rekey(path, 1, 101, 5)
        with sqlite3.connect(path) as db:
            db.execute("UPDATE t_rkxx SET zxbz = '1'")
        run(broker)
        assert live(broker, DATASET) == 0


def test_a_row_id_that_two_rows_have(tmp_path: Path) -> None:
    path = rows_by_id(tmp_path)
    city.put(path, city.resident(1, NOW, bz="r"), city.resident(2, NOW, bz="r"))
    with city.city(tmp_path) as broker:
        assert run(broker).counts.quarantined == 2
        assert {entry.reason for entry in entries(broker, DATASET)} == {"duplicate_row_id"}


def test_row_ids_that_are_stated_later(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, *(city.resident(n, NOW, bz=f"r{n}") for n in range(3)))
    with city.city(tmp_path) as broker:
        run(broker)
    give_row_ids(tmp_path)
    with city.city(tmp_path) as broker:
        assert run(broker).counts.unchanged == 3
        rekey(path, 1, 101, 5)
        assert run(broker).counts.deleted == 1 and live(broker, DATASET) == 3


def row(number: int, name: str, minutes: int, **more: str) -> dict[str, str]:
    return city.resident(number, NOW, bz=name, gxsj=later(minutes), xm=f"名{name}", **more)


def put(path: Path, *rows: dict[str, str]) -> None:
    """Rows by their ids: what had the id is gone."""
    with sqlite3.connect(path) as db:
        for one in rows:
            db.execute("DELETE FROM t_rkxx WHERE bz = ?", (one["bz"],))
            city.add(db, one)


def held(broker: Broker) -> dict[int, str]:
    """Names by the number of the resident, of what is collected."""
    numbers = {city.resident(n, NOW)["gmsfhm"]: n for n in range(1, 9)}
    return {numbers[one["id_no"]]: one["name"] for one in recompute.collected(broker, DATASET)}


WRONG, RIGHT = 1, 2
GONE = {"zxbz": "1"}


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize("first", ["correction", "deletion", "together"])
def test_a_double_entry_is_deleted_and_the_corrected_one_stays(
    tmp_path: Path, limit: int, first: str
) -> None:
    path = rows_by_id(tmp_path)
    put(path, row(WRONG, "a", 0), row(RIGHT, "b", 1))
    with city.city(tmp_path) as broker:
        run(broker, limit=limit)
        assert held(broker) == {WRONG: "名a", RIGHT: "名b"}
        steps = [row(RIGHT, "a", 5), row(RIGHT, "b", 6, **GONE)]
        if first == "deletion":
            steps = [row(RIGHT, "b", 5, **GONE), row(RIGHT, "a", 6)]
        for step in steps:
            put(path, step)
            if first != "together":
                run(broker, limit=limit)
        run(broker, limit=limit)
        assert held(broker) == {RIGHT: "名a"}
        run(broker, limit=limit, again=True)
        assert held(broker) == {RIGHT: "名a"}
        put(path, row(RIGHT, "a", 9, **GONE))
        run(broker, limit=limit)
        assert held(broker) == {}


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_row_that_loses_its_new_key_leaves_nothing_under_the_old(
    tmp_path: Path, limit: int
) -> None:
    path = rows_by_id(tmp_path)
    put(path, row(WRONG, "a", 0), row(RIGHT, "b", 1))
    with city.city(tmp_path) as broker:
        run(broker, limit=limit)
        put(path, row(RIGHT, "a", 5), row(RIGHT, "b", 6))
        run(broker, limit=limit)
        assert held(broker) == {RIGHT: "名b"}
        put(path, row(RIGHT, "b", 7, **GONE))
        run(broker, limit=limit)
        run(broker, limit=limit, again=True)
        assert held(broker) == {RIGHT: "名a"}, "the other row is still there"


def test_a_row_whose_key_cannot_be_read_keeps_its_last_good_version(tmp_path: Path) -> None:
    schemas = compare_residents(tmp_path, "row_id: bz", "zxbz")
    path = city.county(tmp_path, "371502")
    put(path, *(row(number, f"r{number}", 0) for number in range(1, 6)))
    with city.city(tmp_path, schemas=schemas) as broker:
        run(broker)
        put(path, row(3, "r3", 5) | {"gmsfhm": "不明"})
        report = run(broker, again=True)
        assert (report.counts.quarantined, report.counts.deleted) == (1, 0)
        assert live(broker, DATASET) == 5


def test_a_table_with_new_row_ids_is_asked_about(tmp_path: Path) -> None:
    schemas = compare_residents(tmp_path, "row_id: bz", "zxbz")
    path = city.county(tmp_path, "371502")
    put(path, *(row(number, f"r{number}", 0) for number in range(60)))
    with city.city(tmp_path, schemas=schemas) as broker:
        run(broker)
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM t_rkxx")
        put(path, *(row(number + 30, f"r{number}", 1) for number in range(30)))
        report = run(broker, again=True)
        assert report.error is not None and live(broker, DATASET) == 60
        report = run(broker, allow=["ga_t_rkxx-371502"])
        assert report.counts.deleted == 30 and live(broker, DATASET) == 30


def test_a_row_goes_on_to_a_key_and_its_older_version_is_replayed(tmp_path: Path) -> None:
    """Nobody comes back under a key that the row had before, also after its deletion."""
    path = rows_by_id(tmp_path)
    put(path, row(WRONG, "a", 0, xb="男"))
    with city.city(tmp_path) as broker:
        run(broker)
        assert len(entries(broker, DATASET)) == 1
        put(path, row(RIGHT, "a", 5))
        run(broker)
        put(path, row(RIGHT, "a", 6, **GONE))
        run(broker)
        change_mapping(tmp_path, RESIDENTS, ('"1": "1"', '"男": "1", "1": "1"'))
        broker.replay(DATASET).run()
        assert held(broker) == {} and entries(broker, DATASET) == []
