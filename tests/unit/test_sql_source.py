"""A database as a source: what it reads when."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests import city
from tests.faults.bad import live

DATASET = "ga.resident_base"
SHANGHAI = ZoneInfo("Asia/Shanghai")


def ago(**delta: float) -> datetime:
    """A moment before now, as the county's clock on the wall in Shanghai shows it."""
    return (datetime.now(UTC) - timedelta(**delta)).astimezone(SHANGHAI).replace(tzinfo=None)


def keys_after_a_run(folder: Path, limit: int = 7, **settings: Any) -> int:
    with city.city(folder, **settings) as broker:
        (report,) = city.collect(broker, DATASET, limit)
        assert report.error is None
        return live(broker, DATASET)


def test_a_row_changed_just_now_waits_for_the_settle_delay(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, ago(seconds=90)), city.resident(2, ago(seconds=20)))
    assert keys_after_a_run(tmp_path, settle_seconds=60) == 1
    assert keys_after_a_run(tmp_path, settle_seconds=10) == 2


def test_a_row_committed_late_is_met_in_the_overlap_window(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, ago(hours=1)), city.resident(2, ago(minutes=30)))
    assert keys_after_a_run(tmp_path, overlap_seconds=600) == 2
    city.put(path, city.resident(3, ago(minutes=35)))
    city.put(path, city.resident(4, ago(minutes=45)))
    assert keys_after_a_run(tmp_path, overlap_seconds=600) == 3, "five minutes back, not fifteen"
    assert keys_after_a_run(tmp_path, overlap_seconds=1200) == 4


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_rows_that_share_a_cursor_are_all_read(tmp_path: Path, limit: int) -> None:
    city.use_mapping(tmp_path)
    moments = [ago(hours=1), ago(hours=2)]
    rows = [city.resident(index, moments[index % 2]) for index in range(1, 12)]
    city.put(city.county(tmp_path, "371502"), *rows)
    assert keys_after_a_run(tmp_path, limit) == 11
    with city.city(tmp_path) as broker:
        (again,) = city.collect(broker, DATASET, limit)
        assert (again.counts.appended, again.counts.quarantined) == (0, 0)


def test_an_older_row_of_a_key_is_counted_and_not_taken(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, ago(minutes=10)))
    assert keys_after_a_run(tmp_path) == 1
    city.put(path, city.resident(1, ago(minutes=20), xm="旧名"))
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker)
        assert (report.counts.outdated, report.counts.appended) == (1, 0)


def test_a_delete_holds_against_a_row_of_the_same_moment(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path, moment = city.county(tmp_path, "371502"), ago(minutes=10)
    city.put(path, city.resident(1, ago(minutes=20)), city.resident(2, ago(minutes=20)))
    assert keys_after_a_run(tmp_path) == 2
    city.put(path, city.resident(1, moment, zxbz="1"))
    with sqlite3.connect(path) as db:
        city.add(db, city.resident(1, moment))
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker)
        assert (report.counts.deleted, dict(report.counts.reasons)) == (1, {"duplicate_key": 1})
        assert live(broker, DATASET) == 1
