"""Bad input: a clear message that says where and what to do; nothing lost, nothing leaked."""

import os
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.bootstrap import Broker
from broker.errors import GrantError, KeyringError, LogFull, MappingError, PolicyError
from broker.policy.load import load_policy
from broker.quarantine import Quarantine, Quarantined
from tests import city, recompute

NOW = datetime.now() - timedelta(days=1)
ALLOWANCE = "mz.subsistence_allowance"
HEADER = (
    "证号,身份证号,姓名,保障人数,城乡类别,月保障金,致困原因,起始年月,银行账号,状态,区划代码,"
    "更新时间,备注"
)
SECRET = "不可外泄"


def line(index: int, **changes: str) -> str:
    """A good line of 低保.csv, or one with changes."""
    cells = {
        "证号": f"DB371502{index:08d}",
        "身份证号": city.resident(index, NOW)["gmsfhm"],
        "姓名": SECRET,
        "保障人数": "2",
        "城乡类别": "城镇",
        "月保障金": "500.00",
        "致困原因": "因病",
        "起始年月": "2025年01月",
        "银行账号": f"99012345678{index:05d}",
        "状态": "在保",
        "区划代码": city.TOWNS[0],
        "更新时间": "2026/01/05 10:00",
        "备注": "",
        **changes,
    }
    return ",".join(cells.values())


def drop(folder: Path, content: str | bytes, name: str = "低保-0001.csv") -> None:
    """Put a file into the folder of the drops; it has lain there for an hour."""
    target = folder / "sources" / "minzheng" / "dibao"
    target.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode("gb18030")
    (target / name).write_bytes(data)
    os.utime(target / name, (time.time() - 3600,) * 2)


def csv_run(folder: Path, **more: Any) -> tuple[Any, list[Quarantined], int]:
    """(report, quarantine, live keys) after collecting the drops once."""
    city.use_mapping(folder, "mz_subsistence_allowance")
    with city.city(folder, **more) as broker:
        (report,) = city.collect(broker, ALLOWANCE, 3)
        return report, entries(broker, ALLOWANCE), live(broker, ALLOWANCE)


def sql_run(folder: Path, *rows: dict[str, Any]) -> tuple[Any, list[Quarantined], int]:
    """(report, quarantine, live keys) after collecting these rows of one county."""
    city.use_mapping(folder)
    with sqlite3.connect(city.county(folder, "371502")) as db:
        for row in rows:
            city.add(db, row)
    with city.city(folder) as broker:
        (report,) = city.collect(broker)
        return report, entries(broker, "ga.resident_base"), live(broker, "ga.resident_base")


def entries(broker: Broker, dataset: str) -> list[Quarantined]:
    found = Quarantine(broker.catalog.dataset(dataset), broker.sealer).entries(broker.log, 999)
    found.sort(key=lambda one: one[2].where)
    for _, _, entry in found:
        said = f"{entry.reason} {entry.where} {entry.mend} {entry!r}"
        assert SECRET not in said and "99012345678" not in said and entry.mend
    return [entry for _, _, entry in found]


def live(broker: Broker, dataset: str) -> int:
    return len(recompute.newest(broker, broker.catalog.dataset(dataset).collected_topic))


def test_an_empty_csv(tmp_path: Path) -> None:
    drop(tmp_path, b"")
    report, (entry,), keys = csv_run(tmp_path)
    assert report.error is None and keys == 0
    assert (entry.reason, entry.where) == ("empty_file", "低保-0001.csv")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (HEADER.replace("姓名,", ""), "missing: 姓名"),
        (HEADER.replace("姓名", "称谓"), "missing: 姓名; unknown: 称谓"),
        (HEADER.replace("备注", "备注,新列"), "unknown: 新列"),
        (HEADER.replace("备注", "姓名"), "twice: 姓名"),
        (line(5), "missing: 证号"),
    ],
)
def test_a_header_that_differs_stops_the_dataset(tmp_path: Path, header: str, says: str) -> None:
    drop(tmp_path, f"{header}\r\n{line(1)}\r\n")
    report, found, keys = csv_run(tmp_path)
    assert says in str(report.error) and report.error.where == "低保-0001.csv:1"
    assert SECRET not in str(report.error)
    assert not found and keys == 0
    drop(tmp_path, f"{HEADER}\r\n{line(1)}\r\n")
    assert csv_run(tmp_path)[2] == 1, "nothing was lost"


@pytest.mark.parametrize(
    ("bad", "reason", "where"),
    [
        (line(2).rpartition(",")[0], "too_few_cells", "低保-0001.csv:3"),
        (line(2) + ",x", "too_many_cells", "低保-0001.csv:3"),
        (line(2, 起始年月="1990-02-30"), "impossible_date", "低保-0001.csv:3 起始年月"),
        (line(2, 姓名="张\0三"), "nul_byte", "低保-0001.csv:3 姓名"),
        (line(2, 姓名="长" * 1_000_001), "value_too_long", "低保-0001.csv:3 姓名"),
        (line(2, 区划代码="371599999999"), "unknown_division", "低保-0001.csv:3 区划代码"),
        (line(2, 致困原因="因故"), "unknown_code", "低保-0001.csv:3 致困原因"),
        (line(2, 月保障金="5.001"), "malformed_amount", "低保-0001.csv:3 月保障金"),
        (line(2, 月保障金="NaN"), "malformed_amount", "低保-0001.csv:3 月保障金"),
        (line(2, 保障人数="二"), "malformed_number", "低保-0001.csv:3 保障人数"),
        (line(2, 证号=""), "missing_mandatory", "低保-0001.csv:3 证号"),
        (line(2, 城乡类别="15412345678"), "misplaced_identifier", "低保-0001.csv:3 城乡类别"),
        (line(2, 更新时间="昨天"), "impossible_time", "低保-0001.csv:3 更新时间"),
        (line(2, 备注='"没有结束'), "", ""),
    ],
)
def test_a_wrong_line_is_set_aside_and_the_run_goes_on(
    tmp_path: Path, bad: str, reason: str, where: str
) -> None:
    drop(tmp_path, "\r\n".join((HEADER, line(1), bad, line(3), "")))
    report, found, keys = csv_run(tmp_path)
    assert report.error is None
    if not reason:  # an unclosed quotation mark swallows the rest: set aside whole, not lost
        assert report.counts.rows == keys + len(found)
        return
    assert [(one.reason, one.where) for one in found] == [(reason, where)]
    assert keys == 2 and bad.encode("gb18030", "surrogateescape") in found[0].raw


def test_a_wrong_check_digit_and_undecodable_bytes(tmp_path: Path) -> None:
    number = city.resident(2, NOW)["gmsfhm"]
    wrong = number[:17] + ("1" if number[17] != "1" else "2")
    broken = line(4, 姓名="@@").encode("gb18030").replace(b"@@", b"\xff\xff")
    text = "\r\n".join((HEADER, line(1), line(2, 身份证号=wrong))).encode("gb18030")
    drop(tmp_path, text + b"\r\n" + broken + b"\r\n" + line(3).encode("gb18030") + b"\r\n")
    _, found, keys = csv_run(tmp_path)
    assert [(one.reason, one.where) for one in found] == [
        ("wrong_check_digit", "低保-0001.csv:3 身份证号"),
        ("undecodable", "低保-0001.csv:4 姓名"),
    ]
    assert keys == 2 and b"\xff\xff" in found[1].raw


def test_two_lines_with_the_same_key(tmp_path: Path) -> None:
    filler = [line(index) for index in range(10, 30)]
    content = [HEADER, line(1), line(2), line(3), *filler]
    content += [line(1), line(2, 保障人数="5"), line(3, 保障人数="5", 更新时间="2026/02/01 08:00")]
    drop(tmp_path, "\r\n".join((*content, "")))
    report, found, keys = csv_run(tmp_path)
    assert [one.reason for one in found] == ["duplicate_key"] * 2
    assert sorted(one.where for one in found) == ["低保-0001.csv:26", "低保-0001.csv:3"]
    assert report.counts.duplicates == 2 and keys == 22
    assert report.counts.rows == keys + len(found) + report.counts.duplicates


def test_a_file_is_taken_once_by_content_and_a_half_written_one_waits(tmp_path: Path) -> None:
    drop(tmp_path, f"{HEADER}\r\n{line(1)}\r\n")
    drop(tmp_path, f"{HEADER}\r\n{line(9)}\r\n", "低保-0009.csv.part")
    assert csv_run(tmp_path)[0].counts.rows == 1
    drop(tmp_path, f"{HEADER}\r\n{line(1)}\r\n", "改了名.csv")
    assert csv_run(tmp_path)[0].counts.rows == 0
    fresh = tmp_path / "sources" / "minzheng" / "dibao" / "低保-0002.csv"
    fresh.write_bytes(f"{HEADER}\r\n{line(2)}\r\n".encode("gb18030"))
    assert csv_run(tmp_path, settle_seconds=60)[0].counts.rows == 0
    assert csv_run(tmp_path)[2] == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gxsj": None}, "null_cursor"),
        ({"gmsfhm": None}, "missing_mandatory"),
        ({"gxsj": "2999-01-01 00:00:00"}, "cursor_in_future"),
        ({"csrq": "19900230"}, "impossible_date"),
        ({"xm": b"\xff\xfe"}, "undecodable"),
        ({"xm": "张\0"}, "nul_byte"),
        ({"hjdz": "长" * 1_000_001}, "value_too_long"),
        ({"zt": "15412345678"}, "misplaced_identifier"),
    ],
)
def test_a_wrong_row_is_set_aside_once(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    rows = [city.resident(1, NOW), city.resident(2, NOW, **changes), city.resident(3, NOW)]
    report, found, keys = sql_run(tmp_path, *rows)
    assert report.error is None and keys == 2
    assert [one.reason for one in found] == [reason]
    assert found[0].where.startswith("t_rkxx row ") and rows[1]["xm"] != found[0].where
    again, found, _ = sql_run(tmp_path)
    assert len(found) == 1 and again.counts.quarantined == 0, "read twice, set aside once"


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
        assert "missing: hjdz; unknown: dz" in str(report.error)
        assert live(broker, "ga.resident_base") == 0


def test_a_mapping_that_names_a_column_twice(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    city.county(tmp_path, "371502")
    file = tmp_path / "mappings" / "ga_resident_base.yaml"
    text = file.read_text("utf-8").replace("  xzqh:", "  xm: status\n  xzqh:")
    file.write_text(text, "utf-8")
    number = text.splitlines().index("  xm: status") + 1
    with city.city(tmp_path) as broker, pytest.raises(MappingError) as error:
        broker.mappings()
    assert error.value.where == f"{file}:{number}" and "twice" in error.value.what


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  xm: name\n", "  xm: nonsense\n", "no item 'nonsense'"),
        ("  xm: name\n", "", "items without a column: name"),
        ("timezone: Asia/Shanghai\n", "", "timezone is missing"),
        ("timezone: Asia/Shanghai", "timezone: Asia/Nowhere", "unknown time zone"),
        ("ignore: [bz]", "ignore: [bz, xm]", "column xm is named twice"),
        ("  kind: sql", "  kind: fax", "source.kind is unknown"),
        ("deletes: soft_delete", "deletes: none", "deletes of ga.resident_base are seen by"),
        ("dataset: ga.resident_base", "dataset: ga.nothing", "no dataset 'ga.nothing'"),
        ("ignore:", "ignored:", "unknown word 'ignored'"),
        ("  xm: name", "  xm:\tname", "a tab"),
    ],
)
def test_a_wrong_mapping_names_file_and_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    city.use_mapping(tmp_path)
    city.county(tmp_path, "371502")
    file = tmp_path / "mappings" / "ga_resident_base.yaml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
    with city.city(tmp_path) as broker, pytest.raises(MappingError) as error:
        broker.mappings()
    assert says in error.value.what and error.value.where.startswith(f"{file}:")
    assert error.value.mend


def test_a_policy_file_with_an_unknown_item(tmp_path: Path) -> None:
    rules = tmp_path / "policies" / "rules"
    rules.mkdir(parents=True)
    (rules / "x.yaml").write_text(
        "rules:\n- {id: x, title: t, reason: r, owner: o, forbid: {items: [shoe_size]}}\n"
    )
    with city.city(tmp_path) as broker, pytest.raises(PolicyError) as error:
        load_policy(broker.policy_folders, broker.catalog, broker.today)
    assert error.value.where == f"{rules / 'x.yaml'}:2" and "shoe_size" in error.value.what


def test_a_keyring_of_mode_0644(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        broker.keyring.ensure("seal")
    broker.settings.keyring_path.chmod(0o644)
    with city.city(tmp_path) as other, pytest.raises(KeyringError, match="chmod 600"):
        assert other.sealer


def test_a_keyring_that_lacks_the_key_of_old_records(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    city.put(city.county(tmp_path, "371502"), city.resident(1, NOW), city.resident(2, NOW))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert len(city.shown(broker, one)) == 2
        broker.keyring.destroy("seal")
    with city.city(tmp_path) as broker:
        late = city.grant(broker, "b", "sex")
        progress = city.relay(broker)
        assert progress.quarantined == 2 and city.shown(broker, late) == {}
        assert live(broker, "ga.resident_base") == 2, "the sealed records stay"


def test_a_scope_that_is_not_in_the_division_table(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        for code in ("3799", "37150", "3715021", "", "371502000"):
            with pytest.raises(GrantError) as error:
                city.grant(broker, "a", "name", scope=code)
            assert error.value.mend


def test_a_full_disk(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    rows = [city.resident(n, NOW, hjdz="长" * 3000) for n in range(60)]
    city.put(city.county(tmp_path, "371502"), *rows)
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name hukou_addr")
        db = broker.log._db  # type: ignore[attr-defined]
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages + 40}")
        with pytest.raises(LogFull) as error:
            city.collect(broker)
        assert error.value.mend and SECRET not in str(error.value)
        kept = live(broker, "ga.resident_base")
        db.execute(f"PRAGMA max_page_count={pages + 100_000}")
        assert 0 <= kept < 60
        city.collect(broker)
        assert live(broker, "ga.resident_base") == 60
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(LogFull):
            city.relay(broker)
        db.execute(f"PRAGMA max_page_count={pages + 100_000}")
        city.relay(broker)
        assert recompute.held(broker, one) == recompute.wanted(broker, one)
