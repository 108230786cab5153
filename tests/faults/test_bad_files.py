"""Bad CSV drops: each is told with its line and cell, set aside and not lost; the run goes on."""

from pathlib import Path

import pytest

from broker.errors import SourceError
from connectors import drops
from connectors.names import shown_name
from tests import city
from tests.faults.bad import (
    ALLOWANCE,
    HEADER,
    NOW,
    SECRET,
    SUBSIDY,
    csv_run,
    drop,
    entries,
    line,
    live,
)


def test_an_empty_csv(tmp_path: Path) -> None:
    drop(tmp_path, b"")
    report, (entry,), keys = csv_run(tmp_path)
    assert report.error is None and keys == 0
    assert (entry.reason, entry.where) == ("empty_file", "低保-0001.csv")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (HEADER.replace("姓名,", ""), "missing: 姓名"),
        (HEADER.replace("姓名", "称谓"), "missing: 姓名; unknown: column 3"),
        (HEADER.replace("备注", "备注,新列"), "unknown: column 14"),
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
        (line(2, 月保障金="1E+30"), "malformed_amount", "低保-0001.csv:3 月保障金"),
        (line(2, 月保障金="9" * 30), "malformed_amount", "低保-0001.csv:3 月保障金"),
        (line(2, 更新时间="0001/01/01 00:00"), "impossible_time", "低保-0001.csv:3 更新时间"),
        (line(2, 保障人数="二"), "malformed_number", "低保-0001.csv:3 保障人数"),
        (line(2, 证号=""), "missing_mandatory", "低保-0001.csv:3 证号"),
        (line(2, 城乡类别="15412345678"), "misplaced_identifier", "低保-0001.csv:3 城乡类别"),
        (line(2, 更新时间="2099/01/05 10:00"), "changed_in_future", "低保-0001.csv:3 更新时间"),
        (line(2, 更新时间="昨天"), "impossible_time", "低保-0001.csv:3 更新时间"),
        (line(2, 备注='"没有结束'), "stray_quote", "低保-0001.csv:3"),
        (line(2, 状态='"在"保'), "stray_quote", "低保-0001.csv:3"),
    ],
)
def test_a_wrong_line_is_set_aside_and_the_run_goes_on(
    tmp_path: Path, bad: str, reason: str, where: str
) -> None:
    drop(tmp_path, "\r\n".join((HEADER, line(1), bad, line(3), "")))
    report, found, keys = csv_run(tmp_path)
    assert report.error is None
    assert report.counts.rows == 3
    assert [(one.reason, one.where) for one in found] == [(reason, where)]
    assert keys == 2 and bad.encode("gb18030", "surrogateescape") in found[0].raw


def test_a_cell_of_several_lines_hides_no_row_and_poses_as_none(tmp_path: Path) -> None:
    posing = line(2, 备注=f'"见下\n{line(8)}\n以上"')
    hiding = [line(3, 备注='"没有结束'), line(4), line(5, 备注='没有开始"')]
    drop(tmp_path, "\r\n".join((HEADER, line(1), posing, *hiding, line(6), "")))
    report, found, keys = csv_run(tmp_path)
    assert report.counts.rows == 8 and keys == 2, "what spans several lines is set aside whole"
    assert {one.reason for one in found} == {"line_break_in_cell"}
    assert [one.where for one in found] == [f"低保-0001.csv:{n}" for n in range(3, 9)]
    assert line(4).encode("gb18030") in found[4].raw, "and not lost"


def test_a_header_with_a_stray_quote_stops_the_file(tmp_path: Path) -> None:
    drop(tmp_path, "\r\n".join(('"' + HEADER, line(1), line(2), "")))
    report, found, keys = csv_run(tmp_path)
    assert "quotation mark" in str(report.error) and (keys, found) == (0, [])


def test_a_long_number_in_a_file_name_is_not_shown(tmp_path: Path) -> None:
    drop(tmp_path, f"{HEADER}\r\n{line(1, 保障人数='x')}\r\n", "990000199001011237.csv")
    _, (entry,), _ = csv_run(tmp_path)
    assert entry.where == "….csv:2 保障人数"


def test_the_configured_encoding_comes_before_a_mark(tmp_path: Path) -> None:
    city.use_mapping(tmp_path, "mz_subsistence_allowance")
    file = tmp_path / "mappings" / "mz_subsistence_allowance.yaml"
    text = file.read_text("utf-8")
    assert "encoding: gb18030" in text
    drop(tmp_path, f"\ufeff{HEADER}\r\n{line(1)}\r\n".encode())
    with city.city(tmp_path) as broker:
        assert "header" in str(city.collect(broker, ALLOWANCE)[0].error)
    for keys, said in enumerate(("encoding: utf-8", ""), 1):
        file.write_text(text.replace("encoding: gb18030", said), "utf-8")
        drop(tmp_path, f"\ufeff{HEADER}\r\n{line(keys)}\r\n".encode())
        with city.city(tmp_path) as broker:
            assert city.collect(broker, ALLOWANCE)[0].error is None
            assert live(broker, ALLOWANCE) == keys


def test_two_spellings_of_a_key_in_a_file_are_one_key(tmp_path: Path) -> None:
    city.use_mapping(tmp_path, "mz_disability_subsidy")
    index = next(i for i in range(1, 99) if city.resident(i, NOW)["gmsfhm"].endswith("X"))
    number = city.resident(index, NOW)["gmsfhm"]

    def paid(number: str, month: str, amount: str) -> str:
        cells = (number, SECRET, f"{number}12", "1", "2", "护理", amount, "", month)
        return ",".join((*cells, city.TOWNS[0], "2026/01/05 10:00", ""))

    header = "身份证号,姓名,残疾人证号,残疾类别,残疾等级,补贴种类,补贴金额,监护人电话,发放月份"
    header += ",区划代码,更新时间,备注"
    others = [paid(number, f"2025年{month:02d}月", "100") for month in range(2, 8)]
    lines = [paid(number, "2025年1月", "100"), *others, paid(number.lower(), "2025年01月", "200")]
    target = tmp_path / "sources" / "minzheng" / "canbu"
    target.mkdir(parents=True)
    (target / "a.csv").write_bytes("\r\n".join((header, *lines, "")).encode("gb18030"))
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker, SUBSIDY, 3)
        assert [one.reason for one in entries(broker, SUBSIDY)] == ["duplicate_key"] * 2
        assert live(broker, SUBSIDY) == 6 and report.counts.rows == 8


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


@pytest.mark.parametrize("day", ["1900/01/01 00:00", "1970/01/01 00:00"])
def test_a_time_of_change_before_1970_is_a_time(tmp_path: Path, day: str) -> None:
    drop(tmp_path, f"{HEADER}\r\n{line(1, 更新时间=day)}\r\n{line(2)}\r\n")
    report, found, keys = csv_run(tmp_path)
    assert report.error is None and not found and keys == 2


def test_a_file_that_vanishes_stops_its_source_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(tmp_path, f"{HEADER}\r\n{line(1)}\r\n", "990000199001011237.csv")
    monkeypatch.setattr(drops, "_digest", lambda path: path.unlink() or path.stat())
    report, _, _ = csv_run(tmp_path)
    assert isinstance(report.error, SourceError) and "No such file" in report.error.what
    assert report.error.mend and "990000199001011237" not in str(report.error)


@pytest.mark.parametrize(
    "name", ["990000-19900101-1237.csv", "138 0013 8000.csv", "1380013800.csv", "9" * 12 + ".csv"]
)
def test_a_number_in_a_name_is_not_shown_however_it_is_written(name: str) -> None:
    digits = "".join(c for c in shown_name(Path(name)) if c.isdigit())
    assert len(digits) < 9


def test_rows_that_are_wrong_as_before_wait_and_read_again_when_mended(tmp_path: Path) -> None:
    drop(tmp_path, f"{HEADER}\r\n{line(1)}\r\n{line(2, 致困原因='因故')}\r\n")
    report, _, keys = csv_run(tmp_path)
    assert (report.counts.quarantined, keys) == (1, 1)
    mapping = tmp_path / "mappings" / "mz_subsistence_allowance.yaml"
    with city.city(tmp_path) as broker:
        runner = broker.runner(ALLOWANCE, broker.mappings())
        (again,) = runner.run(3, again=True)
        assert (again.counts.waiting, again.counts.unchanged) == (1, 1)
    text = mapping.read_text("utf-8")
    assert "因病: " in text
    code = text.partition("因病: ")[2].partition(",")[0].partition("}")[0].strip()
    mapping.write_text(text.replace("因病: ", f"因故: {code}, 因病: "), "utf-8")
    with city.city(tmp_path) as broker:
        (again,) = broker.runner(ALLOWANCE, broker.mappings()).run(3, again=True)
        assert again.counts.appended == 1 and live(broker, ALLOWANCE) == 2
