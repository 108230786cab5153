"""What is seen to be gone: tables compared by key, files that are the whole, corrected files."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.bootstrap import Broker
from broker.errors import MappingError
from connectors.held import Held
from tests import city
from tests.faults.bad import ALLOWANCE, HEADER, NOW, drop, entries, line, live

DATASET = "ga.resident_base"
TABLE = "ga_t_rkxx-371502"


def use_key_diff(folder: Path, schema: str, mapping: str, *more: tuple[str, str]) -> Path:
    """Schemas and a mapping that see deletes by comparison; the schemas' folder."""
    schemas = folder / "schemas"
    if not schemas.exists():
        shutil.copytree(city.ROOT / "schemas", schemas)
    file = schemas / schema
    text = file.read_text("utf-8")
    for mode in ("soft_delete", "none"):
        text = text.replace(f'"deletes": "{mode}"', '"deletes": "key_diff"')
    file.write_text(text, "utf-8")
    city.use_mapping(folder, mapping)
    change_mapping(folder, mapping, *more)
    return schemas


def change_mapping(folder: Path, mapping: str, *changes: tuple[str, str]) -> None:
    target = folder / "mappings" / f"{mapping}.yaml"
    text = target.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    target.write_text(text, "utf-8")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], Broker]]]:
    """A county's residents, compared at every run."""
    schemas = use_key_diff(
        tmp_path,
        "ga/resident_base.avsc",
        "ga_resident_base",
        ("deletes: soft_delete", "deletes: key_diff"),
        ('soft_delete: {column: zxbz, values: ["1"]}\n', ""),
        ("ignore: [bz]", "ignore: [bz, zxbz]"),
        ("  cursor: gxsj", "  cursor: gxsj\n  compare_hours: 0.0000000001"),
    )
    opened: list[Broker] = []

    def make() -> Broker:
        opened.append(Broker(city.settings(tmp_path, schemas=schemas)))
        return opened[-1]

    yield city.county(tmp_path, "371502"), make
    for one in opened:
        one.close()


def remove(path: Path, *numbers: int) -> None:
    with sqlite3.connect(path) as db:
        for number in numbers:
            gone = city.resident(number, NOW)["gmsfhm"]
            assert db.execute("DELETE FROM t_rkxx WHERE gmsfhm = ?", (gone,)).rowcount == 1


def run(broker: Broker, dataset: str = DATASET, limit: int = 7, **more: Any) -> Any:
    (report,) = broker.runner(dataset, broker.mappings()).run(limit, **more)
    return report


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_row_that_is_gone_is_deleted_and_comes_back_with_the_row(table: Any, limit: int) -> None:
    path, make = table
    city.put(path, *(city.resident(number, NOW) for number in range(30)))
    broker = make()
    assert run(broker, limit=limit).counts.appended == 30
    assert run(broker, limit=limit).counts.deleted == 0
    remove(path, 3, 17)
    report = run(broker, limit=limit)
    assert (report.counts.deleted, report.counts.appended) == (2, 0)
    assert live(broker, DATASET) == 28
    city.put(path, city.resident(3, NOW))
    report = run(broker, limit=limit)
    assert (report.counts.deleted, report.counts.appended) == (0, 1), "although as old as before"
    assert live(broker, DATASET) == 29


def test_a_changed_key_is_a_delete_and_an_insert(table: Any) -> None:
    path, make = table
    city.put(path, *(city.resident(number, NOW) for number in range(10)))
    broker = make()
    run(broker)
    old, new = city.resident(4, NOW)["gmsfhm"], city.resident(400, NOW)["gmsfhm"]
    with sqlite3.connect(path) as db:
        db.execute("UPDATE t_rkxx SET gmsfhm = ? WHERE gmsfhm = ?", (new, old))
    report = run(broker)
    assert (report.counts.deleted, report.counts.appended) == (1, 1)
    assert live(broker, DATASET) == 10


def test_what_is_wrong_now_is_not_gone(table: Any) -> None:
    """A bad update leaves the last good version in place."""
    path, make = table
    city.put(path, *(city.resident(number, NOW) for number in range(10)))
    broker = make()
    run(broker)
    city.put(path, city.resident(2, NOW, csrq="20019931"))
    report = run(broker)
    assert (report.counts.deleted, report.counts.quarantined, report.counts.stale) == (0, 1, 1)
    assert live(broker, DATASET) == 10
    assert len(entries(broker, DATASET)) == 1
    city.put(path, city.resident(2, NOW, xm="改名"))
    assert run(broker).counts.appended == 1
    assert entries(broker, DATASET) == [], "mended at the source: out of quarantine"


@pytest.mark.parametrize(
    ("people", "gone", "stops"),
    [(400, 20, False), (380, 20, True), (100, 19, False), (30, 30, True)],
)
def test_more_than_five_percent_and_twenty_asks(
    table: Any, people: int, gone: int, stops: bool
) -> None:
    path, make = table
    city.put(path, *(city.resident(number, NOW) for number in range(people)))
    broker = make()
    run(broker, limit=1000)
    remove(path, *range(gone))
    report = run(broker, limit=1000)
    assert (report.error is not None) == stops
    assert live(broker, DATASET) == (people if stops else people - gone)
    if not stops:
        return
    assert f"{gone} of {people}" in report.error.what and "--allow-deletes" in report.error.mend
    fresh = make()
    assert run(fresh, limit=1000).error is not None, "also after a restart"
    assert run(fresh, limit=1000, allow=["other"]).error is not None
    report = run(fresh, limit=1000, allow=[TABLE])
    assert report.error is None and report.counts.deleted == gone
    assert live(fresh, DATASET) == people - gone
    assert run(fresh, limit=1000).error is None


@pytest.mark.parametrize("limit", [1, 7, 1000])
@pytest.mark.parametrize("read", [False, True])
def test_a_row_that_comes_back_older_than_it_was(table: Any, limit: int, read: bool) -> None:
    """A department plays back a copy of yesterday, with or without a comparison in between."""
    path, make = table
    later = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW.timestamp() + 3600))
    city.put(path, *(city.resident(number, NOW) for number in range(10)))
    broker = make()
    run(broker, limit=limit)
    city.put(path, city.resident(3, NOW, xm="今日", gxsj=later))
    assert run(broker, limit=limit).counts.appended == 1
    if read:
        remove(path, 3)
        assert run(broker, limit=limit).counts.deleted == 1
    city.put(path, city.resident(3, NOW, xm="昨日"))
    assert run(broker, limit=limit).counts.appended == 1
    assert run(broker, limit=limit).counts.news == 0
    assert live(broker, DATASET) == 10


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_of_two_rows_of_one_key_the_later_stays(table: Any, limit: int) -> None:
    path, make = table
    later = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW.timestamp() + 3600))
    with sqlite3.connect(path) as db:
        for number in range(5):
            city.add(db, city.resident(number, NOW, xm="先"))
            city.add(db, city.resident(number, NOW, xm="后", gxsj=later))
    broker = make()
    run(broker, limit=limit)
    for _ in range(2):
        assert run(broker, limit=limit).counts.news == 0, "the table is read whole"
    assert live(broker, DATASET) == 5


def test_what_a_comparison_by_hand_asked_about_is_deleted_when_allowed(
    tmp_path: Path, table: Any
) -> None:
    path, make = table
    change_mapping(tmp_path, "ga_resident_base", ("0.0000000001", "24"))
    city.put(path, *(city.resident(number, NOW) for number in range(60)))
    broker = make()
    run(broker, limit=1000)
    remove(path, *range(30))
    assert run(broker).error is None, "nobody has compared"
    assert run(broker, again=True).error is not None
    report = run(broker, allow=[TABLE])
    assert report.error is None and report.counts.deleted == 30
    assert run(broker).error is None and live(broker, DATASET) == 30


def test_what_stops_a_source_stands_until_the_deletes_are_committed(
    tmp_path: Path, table: Any
) -> None:
    path, make = table
    change_mapping(tmp_path, "ga_resident_base", ("0.0000000001", "24"))
    city.put(path, *(city.resident(number, NOW) for number in range(60)))
    broker = make()
    run(broker, limit=1000)
    remove(path, *range(30))
    assert run(broker, again=True).error is not None
    stop = iter([False, True])
    report = run(broker, allow=[TABLE], stopped=lambda: next(stop, True))
    assert report.counts.deleted == 0 and run(broker).error is not None
    assert run(broker, allow=[TABLE]).counts.deleted == 30


def test_a_source_that_was_emptied_by_mistake_goes_on_when_mended(table: Any) -> None:
    path, make = table
    rows = [city.resident(number, NOW) for number in range(40)]
    city.put(path, *rows)
    broker = make()
    run(broker, limit=1000)
    remove(path, *range(40))
    assert run(broker).error is not None
    city.put(path, *rows)
    assert run(broker).error is not None, "until somebody has looked"
    Held(DATASET, broker.log).lift(TABLE)
    report = run(broker, limit=1000)
    assert report.error is None and report.counts.deleted == 0 and live(broker, DATASET) == 40


def test_a_key_of_another_source_is_not_deleted(table: Any, tmp_path: Path) -> None:
    path, make = table
    city.put(path, *(city.resident(number, NOW) for number in range(5)))
    other = city.county(tmp_path, "371521")
    city.put(other, city.resident(50, NOW))
    broker = make()
    for report in broker.runner(DATASET, broker.mappings()).run(7):
        assert report.error is None
    city.put(other, city.resident(3, NOW.replace(microsecond=0).replace(year=NOW.year)))
    remove(path, 3)
    later = city.resident(3, NOW)
    later["gxsj"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - 3600))
    city.put(other, later)
    for _ in range(2):
        broker.runner(DATASET, broker.mappings()).run(7)
    assert live(broker, DATASET) == 6


# files


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
