"""Files that are the whole, corrected files, files under a name that was there before."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.errors import MappingError
from connectors.drops import Drop
from connectors.files import CsvDrops
from connectors.source import Row
from tests import city, recompute
from tests.faults.bad import ALLOWANCE, HEADER, drop, entries, line, live
from tests.mappings import change_mapping, use_key_diff
from tests.unit.test_comparison import run

DROPS = Path("sources") / "minzheng" / "dibao"
LATER = {"更新时间": "2026/02/05 10:00"}


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    opened: list[Broker] = []

    def make(full: bool = False) -> Broker:
        if full:
            schemas = use_key_diff(
                tmp_path,
                "mz/subsistence_allowance.avsc",
                "mz_subsistence_allowance",
                ("deletes: none", "deletes: key_diff"),
                ("  kind: csv", "  kind: csv\n  full: true"),
            )
            made = Broker(city.settings(tmp_path, schemas=schemas))
        else:
            city.use_mapping(tmp_path, "mz_subsistence_allowance")
            made = Broker(city.settings(tmp_path))
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.close()


def content(*lines: str) -> str:
    return "\r\n".join((HEADER, *lines, ""))


def test_a_whole_file_deletes_what_it_does_not_have(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files(full=True)
    drop(tmp_path, content(*(line(n) for n in range(10))), "2026-01.csv")
    assert run(broker, ALLOWANCE, 3).counts.appended == 10
    drop(tmp_path, content(*(line(n) for n in range(2, 12))), "2026-02.csv")
    report = run(broker, ALLOWANCE, 3)
    assert (report.counts.appended, report.counts.deleted) == (2, 2)
    assert live(broker, ALLOWANCE) == 10
    again = run(broker, ALLOWANCE, 3, again=True)
    assert (again.counts.appended, again.counts.deleted) == (0, 0), "the newest file counts alone"
    drop(tmp_path, content(line(5, 月保障金="1.00", 更新时间="2026/01/01 08:00")), "2026-03.csv")
    report = run(broker, ALLOWANCE, 3)
    assert (report.counts.appended, report.counts.deleted) == (1, 9), "it is the whole, as it is"


def test_a_whole_file_that_lacks_too_much_is_not_taken(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files(full=True)
    drop(tmp_path, content(*(line(n) for n in range(60))), "2026-01.csv")
    run(broker, ALLOWANCE)
    others = (line(n) for n in range(100, 130))
    drop(
        tmp_path, content(line(0, 月保障金="1.00"), *map(line, range(1, 5)), *others), "2026-02.csv"
    )
    report = run(broker, ALLOWANCE, 3)
    assert report.error is not None and report.counts.news == 0, "nothing of it"
    assert live(broker, ALLOWANCE) == 60
    report = run(broker, ALLOWANCE, allow=["mz_dibao"])
    assert report.counts.deleted == 55 and live(broker, ALLOWANCE) == 35


def test_a_correction_that_lacks_too_much_is_not_taken(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files()
    drop(tmp_path, content(*(line(n) for n in range(60))), "低保.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(line(0, 月保障金="1.00"), line(100)), "低保.更正.csv")
    report = run(broker, ALLOWANCE, 1)
    assert report.error is not None and report.counts.news == 0
    report = run(broker, ALLOWANCE, 1, allow=["mz_dibao"])
    assert report.error is None and live(broker, ALLOWANCE) == 2


def test_the_newest_whole_file_is_taken_away(files: Callable[..., Broker], tmp_path: Path) -> None:
    """The one before it is not the whole any more, unless somebody drops it again."""
    broker = files(full=True)
    folder = tmp_path / "sources" / "minzheng" / "dibao"
    drop(tmp_path, content(*(line(n) for n in range(10))), "2026-01.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(*(line(n) for n in range(5, 15))), "2026-02.csv")
    run(broker, ALLOWANCE)
    (folder / "2026-02.csv").unlink()
    for again in (False, True):
        report = run(broker, ALLOWANCE, again=again)
        assert report.error is not None and "2026-01.csv" in str(report.error)
        assert report.counts.news == 0 and report.counts.deleted == 0
    (folder / "2026-01.csv").rename(folder / "2026-03.csv")
    report = run(broker, ALLOWANCE)
    assert report.error is None and (report.counts.appended, report.counts.deleted) == (5, 5)


def test_a_whole_file_under_one_name_goes_back_and_forth(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files(full=True)
    for numbers in (range(4), range(2, 6), range(4), range(2, 6)):
        drop(tmp_path, content(*map(line, numbers)), "低保.csv")
        report = run(broker, ALLOWANCE)
        assert report.error is None and live(broker, ALLOWANCE) == 4
        assert report.counts.appended in (4, 2)


@pytest.mark.parametrize("again", [False, True])
def test_a_file_under_the_name_of_one_that_was_corrected(
    files: Callable[..., Broker], tmp_path: Path, again: bool
) -> None:
    broker = files()
    drop(tmp_path, content(line(1), line(2)), "低保.csv")
    drop(tmp_path, content(line(1)), "低保.更正.csv")
    run(broker, ALLOWANCE)
    assert live(broker, ALLOWANCE) == 1 and entries(broker, ALLOWANCE) == []
    drop(tmp_path, content(line(3)), "低保.csv")
    drop(tmp_path, content(line(4)), "后来.csv")
    for _ in range(2):
        report = run(broker, ALLOWANCE, again=again)
        found = entries(broker, ALLOWANCE)
        assert [entry.reason for entry in found] == ["corrected_already"]
        assert "低保.更正2.csv" in found[0].mend
        assert live(broker, ALLOWANCE) == 2, "the others go on"
        ((_, standing),) = [p for p in broker.standings() if p[1].source == "mz_dibao"]
        assert standing.behind == 1, "it waits"
    drop(tmp_path, content(line(1), line(3)), "低保.更正2.csv")
    report = run(broker, ALLOWANCE)
    assert report.counts.appended == 1 and live(broker, ALLOWANCE) == 3
    assert entries(broker, ALLOWANCE) == []


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_a_correction_leaves_what_another_file_gives(
    files: Callable[..., Broker], tmp_path: Path, same: bool, again: bool
) -> None:
    broker = files()
    newer = {} if same else {"更新时间": "2026/02/05 10:00", "月保障金": "7.00"}
    drop(tmp_path, content(line(1), line(2)), "a.csv")
    drop(tmp_path, content(line(2, **newer), line(3)), "b.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(line(3)), "b.更正.csv")
    assert run(broker, ALLOWANCE, again=again).error is None
    assert live(broker, ALLOWANCE) == 3
    assert run(broker, ALLOWANCE).counts.rows == 0, "and then there is peace"


def test_a_correction_waits_for_what_it_corrects_and_leaves_the_quarantine(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files()
    drop(tmp_path, content(line(1)), "低保.更正.csv")
    run(broker, ALLOWANCE)
    assert len(entries(broker, ALLOWANCE)) == 1
    drop(tmp_path, content(line(1), line(2)), "低保.csv")
    run(broker, ALLOWANCE)
    assert entries(broker, ALLOWANCE) == []


def test_full_and_key_diff_go_together(files: Callable[..., Broker], tmp_path: Path) -> None:
    files(full=True)
    change_mapping(tmp_path, "mz_subsistence_allowance", ("  full: true\n", ""))
    broker = Broker(city.settings(tmp_path, schemas=tmp_path / "schemas"))
    with pytest.raises(MappingError, match="go together"):
        broker.mappings()
    broker.close()


@pytest.mark.parametrize("name", ["低保.更正.csv", "低保-更正1.csv", "低保.corrected.csv"])
def test_a_corrected_file_replaces_what_it_corrects(
    files: Callable[..., Broker], tmp_path: Path, name: str
) -> None:
    broker = files()
    wrong = line(3, 致困原因="因故")
    drop(tmp_path, content(*(line(n) for n in range(3)), wrong, "x"), "低保.csv")
    drop(tmp_path, content(*(line(n) for n in range(10, 15))), "别的.csv")
    report = run(broker, ALLOWANCE)
    assert report.counts.appended == 8 and len(entries(broker, ALLOWANCE)) == 2
    # one line less, one mended, one with an older time of change and another amount
    amended = line(2, 月保障金="9.00", 更新时间="2025/12/05 10:00")
    drop(tmp_path, content(line(0), amended, line(3)), name)
    report = run(broker, ALLOWANCE)
    assert (report.counts.appended, report.counts.deleted) == (2, 1)
    assert live(broker, ALLOWANCE) == 8 and entries(broker, ALLOWANCE) == []
    drop(tmp_path, content(line(0)), "低保.更正2.csv")
    report = run(broker, ALLOWANCE)
    assert (report.counts.appended, report.counts.deleted) == (0, 2)
    assert live(broker, ALLOWANCE) == 6


def test_a_line_that_another_file_repeats_is_that_files_too(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files()
    drop(tmp_path, content(line(1), line(2)), "a.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(line(2)), "b.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(line(1)), "a.更正.csv")
    assert run(broker, ALLOWANCE).counts.deleted == 0 and live(broker, ALLOWANCE) == 2


def test_a_correction_of_a_file_that_could_not_be_read(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files()
    drop(tmp_path, "错,误\r\n1,2\r\n", "低保.csv")
    assert run(broker, ALLOWANCE).error is not None
    drop(tmp_path, content(line(1)), "低保.更正.csv")
    report = run(broker, ALLOWANCE)
    assert report.error is None and live(broker, ALLOWANCE) == 1


def test_a_correction_of_nothing_waits_for_its_name(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files()
    drop(tmp_path, content(line(1)), "低保.更正.csv")
    run(broker, ALLOWANCE)
    (entry,) = entries(broker, ALLOWANCE)
    assert entry.reason == "replaces_nothing" and live(broker, ALLOWANCE) == 0
    drop(tmp_path, content(line(1), line(2)), "低保.csv")
    run(broker, ALLOWANCE)
    assert live(broker, ALLOWANCE) == 1


def test_files_of_one_name_in_two_folders_are_two(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    files()
    change_mapping(tmp_path, "mz_subsistence_allowance", ("dibao/*.csv", "dibao/*/*.csv"))
    for number, town in enumerate(("甲", "乙")):
        (tmp_path / "sources" / "minzheng" / "dibao" / town).mkdir(parents=True)
        drop(tmp_path, content(line(number)), f"{town}/低保.csv")
    broker = Broker(city.settings(tmp_path))
    run(broker, ALLOWANCE)
    assert live(broker, ALLOWANCE) == 2
    drop(tmp_path, content(line(7)), "甲/低保.更正.csv")
    assert run(broker, ALLOWANCE).counts.deleted == 1 and live(broker, ALLOWANCE) == 2
    broker.close()


def test_rows_behind_and_what_was_read(files: Callable[..., Broker], tmp_path: Path) -> None:
    broker = files()
    drop(tmp_path, content(line(1), line(2)), "a.csv")
    ((_, before),) = [pair for pair in broker.standings() if pair[1].source == "mz_dibao"]
    assert (before.state, before.behind) == ("new", 2)
    run(broker, ALLOWANCE)
    ((_, after),) = [pair for pair in broker.standings() if pair[1].source == "mz_dibao"]
    assert (after.state, after.behind, after.status.rows) == ("idle", 0, 2)
    assert after.status.last_row and after.status.last_success


def test_unread_files_wait_until_they_are_whole(tmp_path: Path) -> None:
    city.use_mapping(tmp_path, "mz_subsistence_allowance")
    drop(tmp_path, content(line(1)), "a.csv")
    os.utime(tmp_path / "sources" / "minzheng" / "dibao" / "a.csv")
    with city.city(tmp_path, settle_seconds=60) as broker:
        assert run(broker, ALLOWANCE).counts.rows == 0


# what was read before


def test_a_correction_that_is_like_a_file_that_was_read(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    """Without rows, or back to what was corrected: it is another file all the same."""
    broker = files()
    drop(tmp_path, content(line(1), line(2)), "0001.csv")
    drop(tmp_path, content(), "0002.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(), "0001.更正.csv")
    assert run(broker, ALLOWANCE).counts.deleted == 2 and live(broker, ALLOWANCE) == 0
    drop(tmp_path, content(line(1), line(2)), "0001.更正2.csv")
    assert run(broker, ALLOWANCE).counts.appended == 2 and live(broker, ALLOWANCE) == 2
    assert run(broker, ALLOWANCE).counts.rows == 0


@pytest.mark.parametrize("again", [False, True])
def test_what_was_corrected_does_not_come_back_without_its_correction(
    files: Callable[..., Broker], tmp_path: Path, again: bool
) -> None:
    broker = files()
    drop(tmp_path, content(line(1), line(2)), "a.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(line(1)), "a.更正.csv")
    run(broker, ALLOWANCE)
    (tmp_path / DROPS / "a.更正.csv").unlink()
    drop(tmp_path, content(line(3)), "b.csv")
    run(broker, ALLOWANCE, again=again)
    assert live(broker, ALLOWANCE) == 2 and entries(broker, ALLOWANCE) == []
    drop(tmp_path, content(line(1), line(2)), "c.csv")
    run(broker, ALLOWANCE)
    assert live(broker, ALLOWANCE) == 3, "somebody says so anew"


def test_what_a_filling_pass_finds_twice(files: Callable[..., Broker], tmp_path: Path) -> None:
    """As if the files were read anew: the last of equal time stands, a deletion holds, and of
    two rows in one file none."""
    broker = files()
    drop(tmp_path, content(line(1, 月保障金="1.00"), line(4, 月保障金="1.00")), "a.csv")
    drop(tmp_path, content(line(1, 月保障金="2.00"), line(5), line(6)), "b.csv")
    drop(tmp_path, content(line(4, 月保障金="2.00"), line(4, 月保障金="3.00")), "bb.csv")
    run(broker, ALLOWANCE, 2)
    drop(tmp_path, content(line(1, 月保障金="3.00", **LATER), line(4, **LATER), line(7)), "c.csv")
    run(broker, ALLOWANCE, 2)
    drop(tmp_path, content(line(7)), "c.更正.csv")
    assert run(broker, ALLOWANCE, 2).error is None
    amounts = {
        record["cert_no"][-1]: str(record["monthly_amount"])
        for record in recompute.collected(broker, ALLOWANCE)
    }
    assert amounts == {"1": "2.00", "5": "500.00", "6": "500.00", "7": "500.00"}


@pytest.mark.parametrize("then", [[], [line(3)]])
def test_a_name_that_was_corrected_stays_corrected(
    files: Callable[..., Broker], tmp_path: Path, then: list[str]
) -> None:
    """Its files were put away one after the other, and come back."""
    broker = files()
    for name, numbers in (("a.csv", (1, 2)), ("a.更正.csv", (2, 5)), ("a.更正2.csv", (1,))):
        drop(tmp_path, content(*map(line, numbers)), name)
        run(broker, ALLOWANCE)
        (tmp_path / DROPS / name).unlink()
    drop(tmp_path, content(line(2), line(5)), "a.更正.csv")
    drop(tmp_path, content(line(1), line(2), *then), "a.csv")
    drop(tmp_path, content(line(7), line(8)), "z.csv")
    for again in (False, True):
        run(broker, ALLOWANCE, again=again)
        assert live(broker, ALLOWANCE) == 3
    drop(tmp_path, content(line(7)), "z.更正.csv")
    run(broker, ALLOWANCE)
    assert live(broker, ALLOWANCE) == 2
    found = [entry.reason for entry in entries(broker, ALLOWANCE)]
    assert found == ["corrected_already"] * len(then)


@pytest.mark.parametrize("dated", [{}, LATER])
@pytest.mark.parametrize("name", ["a.更正.csv", "c.csv"])
def test_what_moves_from_one_file_to_another_in_one_run(
    files: Callable[..., Broker], tmp_path: Path, dated: dict[str, str], name: str
) -> None:
    broker = files()
    drop(tmp_path, content(line(1)), "a.csv")
    drop(tmp_path, content(line(2, **dated), line(3)), "b.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, content(line(1), line(2)), name)
    drop(tmp_path, content(line(3)), "b.更正.csv")
    assert run(broker, ALLOWANCE).error is None and live(broker, ALLOWANCE) == 3
    assert run(broker, ALLOWANCE).counts.rows == 0


def test_a_correction_leaves_the_quarantine_of_others(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files()
    for number, name in enumerate(("a.csv", "b.csv")):
        drop(tmp_path, content(line(number, 致困原因="因故")), name)
    run(broker, ALLOWANCE)
    (tmp_path / DROPS / "b.csv").unlink()  # it is not read again to tell what is wrong in it
    drop(tmp_path, content(line(0)), "a.更正.csv")
    run(broker, ALLOWANCE)
    assert [entry.where for entry in entries(broker, ALLOWANCE)] == ["b.csv:2 致困原因"]


def test_a_file_with_columns_of_old_stops_no_correction(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    files()
    change_mapping(tmp_path, "mz_subsistence_allowance", ("ignore: [备注]", "ignore: []"))
    old = content(line(1)).replace(",备注", "").replace(",\r\n", "\r\n")
    drop(tmp_path, old, "2025.csv")
    with city.city(tmp_path) as broker:
        assert run(broker, ALLOWANCE).error is None and live(broker, ALLOWANCE) == 1
    change_mapping(tmp_path, "mz_subsistence_allowance", ("ignore: []", "ignore: [备注]"))
    with city.city(tmp_path) as broker:
        drop(tmp_path, content(line(2), line(3)), "2026.csv")
        run(broker, ALLOWANCE)
        drop(tmp_path, content(line(2)), "2026.更正.csv")
        assert run(broker, ALLOWANCE).error is None and live(broker, ALLOWANCE) == 2
        assert [entry.reason for entry in entries(broker, ALLOWANCE)] == ["not_read_again"]
        drop(tmp_path, content(line(4)), "2026-2.csv")
        assert run(broker, ALLOWANCE).error is None and live(broker, ALLOWANCE) == 3


def test_many_corrections_are_filled_from_in_one_pass(
    files: Callable[..., Broker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, read = CsvDrops._rows, list[str]()

    def reading(self: CsvDrops, drop: Drop) -> Iterator[tuple[Row, int]]:
        read.append(drop.name)
        return rows(self, drop)

    monkeypatch.setattr(CsvDrops, "_rows", reading)
    broker = files()
    for number in range(20):
        drop(tmp_path, content(line(number), line(100 + number)), f"{number}.csv")
        drop(tmp_path, content(line(number)), f"{number}.更正.csv")
    for again in (False, True):
        read.clear()
        assert run(broker, ALLOWANCE, again=again).counts.rows == 20
        assert len(read) == 4 * 20, "ahead, for double keys, for the rows; and once to fill"


def test_the_newest_is_the_last_as_people_count(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files(full=True)
    for number in (9, 10):
        drop(tmp_path, content(*map(line, range(number))), f"低保2026-{number}.csv")
        run(broker, ALLOWANCE)
        assert live(broker, ALLOWANCE) == number


def test_a_weekend_without_changes_and_the_newest_taken_away(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files(full=True)
    for number, people in enumerate((range(10), range(10), range(1, 10))):
        drop(tmp_path, content(*map(line, people)), f"2026-0{number}.csv")
        run(broker, ALLOWANCE)
    (tmp_path / DROPS / "2026-02.csv").unlink()
    assert run(broker, ALLOWANCE).error is not None and live(broker, ALLOWANCE) == 9


def test_an_empty_whole_file_that_is_taken_away_again(
    files: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = files(full=True)
    drop(tmp_path, content(*map(line, range(3))), "2026-01.csv")
    run(broker, ALLOWANCE)
    drop(tmp_path, "", "2026-02.csv")
    run(broker, ALLOWANCE)
    assert [entry.reason for entry in entries(broker, ALLOWANCE)] == ["empty_file"]
    (tmp_path / DROPS / "2026-02.csv").unlink()
    assert run(broker, ALLOWANCE).error is None and live(broker, ALLOWANCE) == 3
