"""What is seen to be gone: tables compared by key, files that are the whole, corrected files."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.bootstrap import Broker
from connectors.held import Held
from tests import city
from tests.faults.bad import NOW, entries, live
from tests.mappings import EVERY_RUN, RESIDENTS, change_mapping, compare_residents

DATASET = "ga.resident_base"
TABLE = "ga_t_rkxx-371502"


@pytest.fixture
def table(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], Broker]]]:
    """A county's residents, compared at every run."""
    schemas = compare_residents(tmp_path, EVERY_RUN)
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


def halved(folder: Path, table: Any) -> Broker:
    """Of sixty people half are gone, and a comparison is not due."""
    path, make = table
    change_mapping(folder, RESIDENTS, (EVERY_RUN, "compare_hours: 24"))
    city.put(path, *(city.resident(number, NOW) for number in range(60)))
    broker: Broker = make()
    run(broker, limit=1000)
    remove(path, *range(30))
    return broker


def test_what_a_comparison_by_hand_asked_about_is_deleted_when_allowed(
    tmp_path: Path, table: Any
) -> None:
    broker = halved(tmp_path, table)
    assert run(broker).error is None, "nobody has compared"
    assert run(broker, again=True).error is not None
    report = run(broker, allow=[TABLE])
    assert report.error is None and report.counts.deleted == 30
    assert run(broker).error is None and live(broker, DATASET) == 30


def test_what_stops_a_source_stands_until_the_deletes_are_committed(
    tmp_path: Path, table: Any
) -> None:
    broker = halved(tmp_path, table)
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
