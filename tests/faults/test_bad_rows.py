"""Bad rows of a database: each is named by table and pseudonym, set aside once; the run goes on."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import city
from tests.faults.bad import NOW, live, sql_run


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_two_spellings_of_a_key_are_one_key(tmp_path: Path, limit: int) -> None:
    index = next(i for i in range(1, 99) if city.resident(i, NOW)["gmsfhm"].endswith("X"))
    spelled = f" {city.resident(index, NOW)['gmsfhm'].lower()}"
    others = [city.resident(i, NOW) for i in range(200, 206)]
    twice = [city.resident(index, NOW), city.resident(index, NOW, gmsfhm=spelled, xb="2")]
    report, found, keys = sql_run(tmp_path, twice[0], *others, twice[1], limit=limit)
    assert [one.reason for one in found] == ["duplicate_key"] * 2
    assert keys == 6 and report.counts.rows == 8


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gxsj": None}, "null_cursor"),
        ({"gmsfhm": None}, "missing_mandatory"),
        ({"gmsfhm": b"\xff\xfe"}, "undecodable"),
        ({"gxsj": b"2026-01-01 \xff"}, "undecodable"),
        ({"gxsj": "2999-01-01 00:00:00"}, "cursor_in_future"),
        ({"csrq": "19900230"}, "impossible_date"),
        ({"xm": b"\xff\xfe"}, "undecodable"),
        ({"xm": "张\0"}, "nul_byte"),
        ({"hjdz": "长" * 1_000_001}, "value_too_long"),
        (dict.fromkeys(("hjdz", "xm"), "𠀀" * 1_000_000), "row_too_large"),
        ({"zt": "15412345678"}, "misplaced_identifier"),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_a_wrong_row_is_set_aside_once(
    tmp_path: Path, changes: dict[str, Any], reason: str, limit: int
) -> None:
    rows = [city.resident(1, NOW), city.resident(2, NOW, **changes), city.resident(3, NOW)]
    report, found, keys = sql_run(tmp_path, *rows, limit=limit)
    assert report.error is None and keys == 2 and report.counts.rows == 3
    assert [one.reason for one in found] == [reason]
    assert found[0].where.startswith("t_rkxx row ") and rows[1]["xm"] != found[0].where
    again, found, _ = sql_run(tmp_path, limit=limit)
    assert len(found) == 1 and again.counts.quarantined == 0, "read twice, set aside once"


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_key_that_is_no_text_does_not_end_the_run(tmp_path: Path, limit: int) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, *(city.resident(index, NOW) for index in range(1, 7)))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE t_rkxx SET gmsfhm = CAST(gmsfhm AS BLOB) WHERE rowid IN (2, 5)")
    report, found, keys = sql_run(tmp_path, limit=limit)
    assert report.error is None and report.counts.rows == 6 and keys == 4
    assert [one.reason for one in found] == ["undecodable"] * 2


def test_a_delete_is_seen_whatever_else_the_row_holds(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW), city.resident(2, NOW))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        gone = city.resident(1, NOW, zxbz="1", xm="", csrq="19900230", gxsj=later)
        city.put(path, gone)
        (report,) = city.collect(broker)
        assert report.counts.deleted == 1 and report.counts.quarantined == 0
        assert live(broker, "ga.resident_base") == 1


def test_a_table_that_lost_a_column_stops_before_anything_is_read(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW))
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE t_rkxx RENAME COLUMN hjdz TO dz")
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker)
        assert "missing: hjdz; unknown: column " in str(report.error)
        assert live(broker, "ga.resident_base") == 0


@pytest.mark.parametrize("cursor", ["", "  ", "0", "20", "2025/11/24 10:00:00", "someday"])
def test_a_cursor_not_written_as_agreed_is_set_aside_also_after_the_first_run(
    tmp_path: Path, cursor: str
) -> None:
    assert sql_run(tmp_path, city.resident(1, NOW))[2] == 1
    report, found, keys = sql_run(tmp_path, city.resident(2, NOW, gxsj=cursor))
    assert report.error is None and keys == 1
    assert [one.reason for one in found] == ["malformed_cursor"]


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_identical_wrong_rows_are_one_entry_and_its_duplicates(tmp_path: Path, limit: int) -> None:
    wrong = [city.resident(2, NOW, gmsfhm=None)] * 3
    report, found, keys = sql_run(tmp_path, city.resident(1, NOW), *wrong, limit=limit)
    counts = report.counts
    assert counts.rows == 4 == keys + counts.quarantined + counts.duplicates
    assert {one.reason for one in found} == {"missing_mandatory"}


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_text_key_with_a_blank_is_the_same_key(tmp_path: Path, limit: int) -> None:
    city.use_mapping(tmp_path, "ga_residence_permit")
    moment = NOW.strftime("%Y-%m-%d %H:%M:%S")
    person = city.resident(1, NOW)
    rows = [
        ("A1", person["gmsfhm"], "张试"), ("B1", person["gmsfhm"], "李试"),
        ("A1 ", person["gmsfhm"], "王试"),
    ]  # fmt: skip
    path = tmp_path / "sources" / "gongan" / "t_jzz-371502.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as db:
        db.execute(f"CREATE TABLE t_jzz ({', '.join(f'{n} TEXT' for n in city.PERMIT_COLUMNS)})")
        for number, id_no, name in rows:
            values = {
                "jzzbh": number, "gmsfhm": id_no, "xm": name, "csrq": person["csrq"],
                "jzdz": "地址", "hjqh": city.TOWNS[0], "qfrq": "20250101", "qzyxq": "20270101",
                "lxdh": "19900000001", "xzqh": city.TOWNS[0], "gxsj": moment, "zxbz": "0", "bz": "",
            }  # fmt: skip
            db.execute(
                f"INSERT INTO t_jzz VALUES ({', '.join('?' * len(values))})",
                [values[name] for name in city.PERMIT_COLUMNS],
            )
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker, "ga.residence_permit", limit)
        assert report.error is None
        assert (report.counts.quarantined, live(broker, "ga.residence_permit")) == (2, 1)


def test_a_long_number_in_the_name_of_a_database_is_nowhere(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    number = "990000199001011237"
    city.put(city.county(tmp_path, f"371502-{number}"), city.resident(1, NOW))
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker)
        assert number not in report.source + broker.telemetry.metrics().decode()
        files = [tmp_path / name for name in ("log.db", "log.db-wal", "events.jsonl")]
        assert not any(number.encode() in file.read_bytes() for file in files)


def test_two_runners_at_once_and_the_later_version_stays(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW))
    with city.city(tmp_path) as slow, city.city(tmp_path) as quick:
        city.collect(quick)
        times = [(NOW + timedelta(seconds=n)).strftime("%Y-%m-%d %H:%M:%S") for n in (1, 2)]
        city.put(path, city.resident(1, NOW, xm="中", gxsj=times[0]))
        commit = slow.log.commit

        def late(batch: Any) -> None:
            if batch.records():
                city.put(path, city.resident(1, NOW, xm="新", gxsj=times[1]))
                assert city.collect(quick)[0].counts.appended == 1
            commit(batch)

        slow.log.commit = late  # type: ignore[method-assign]
        (report,) = city.collect(slow)
        assert report.error is None and report.counts.appended == 0
        granted = city.grant(quick, "a", "name")
        city.relay(quick)
        assert [record["name"] for record in city.shown(quick, granted).values()] == ["新"]
