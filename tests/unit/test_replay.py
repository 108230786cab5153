"""Replay of what was set aside, and the honest state of every source."""

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.bootstrap import Broker
from broker.errors import MappingError, PositionMoved
from broker.log.interface import Append, Batch
from connectors.cells import pack, unpack
from connectors.runner import Turn
from connectors.standing import standing
from connectors.status import Status
from tests import city, recompute
from tests.faults.bad import ALLOWANCE, HEADER, NOW, drop, entries, line, live
from tests.mappings import change_mapping, give_row_ids

DATASET = "ga.resident_base"
COUNTY = "ga_t_rkxx-371502"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    city.use_mapping(tmp_path)
    city.county(tmp_path, "371502")
    with city.city(tmp_path) as found:
        yield found


def codes(folder: Path, old: str, new: str, name: str = "ga_resident_base") -> None:
    """Change a mapping's text."""
    change_mapping(folder, name, (old, new))


def replayed(broker: Broker, dataset: str = DATASET, reason: str = "") -> dict[str, int]:
    reports = broker.replay(dataset).run(reason)
    names = ("collected", "overtaken", "wrong", "lost")
    return {name: sum(getattr(one, name) for one in reports) for name in names}


def test_what_is_right_now_is_collected_and_leaves_the_quarantine(
    broker: Broker, tmp_path: Path
) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, *(city.resident(n, NOW, xb="男" if n < 2 else "1") for n in range(4)))
    city.put(path, city.resident(9, NOW, csrq="20019931"))
    (report,) = city.collect(broker)
    assert report.counts.quarantined == 3
    assert replayed(broker) == {"collected": 0, "overtaken": 0, "wrong": 3, "lost": 0}
    assert len(entries(broker, DATASET)) == 3, "as they were"
    codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
    assert replayed(broker, reason="other") == dict.fromkeys(
        ("collected", "overtaken", "wrong", "lost"), 0
    )
    assert replayed(broker) == {"collected": 2, "overtaken": 0, "wrong": 1, "lost": 0}
    assert live(broker, DATASET) == 4
    (left,) = entries(broker, DATASET)
    assert left.reason == "impossible_date"
    assert replayed(broker)["collected"] == 0
    (report,) = broker.runner(DATASET, broker.mappings()).run(7, again=True)
    assert (report.counts.unchanged, report.counts.waiting) == (4, 1)


def test_a_row_that_was_mended_at_the_source_is_not_undone(broker: Broker, tmp_path: Path) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW, xm="旧", xb="男"))
    city.collect(broker)
    city.put(path, city.resident(1, NOW, xm="新", xb="1"))
    city.collect(broker)
    codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
    assert replayed(broker) == {"collected": 0, "overtaken": 1, "wrong": 0, "lost": 0}
    assert entries(broker, DATASET) == []
    ((key, sealed),) = [
        (one.key, one.value)
        for part in range(4)
        for one in broker.log.read("collected.ga.resident_base", part, 0, 9)
    ]
    assert "新".encode() in broker.sealer.open("collected.ga.resident_base", key, sealed).body


def test_a_person_deleted_at_the_source_does_not_come_back(broker: Broker, tmp_path: Path) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW, xb="男"), city.resident(2, NOW))
    city.collect(broker)
    later = (NOW + timedelta(minutes=5)).strftime("%Y-%m-%d %H:%M:%S")
    city.put(path, city.resident(1, NOW, zxbz="1", gxsj=later))
    city.collect(broker)
    codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
    assert replayed(broker) == {"collected": 0, "overtaken": 1, "wrong": 0, "lost": 0}
    assert live(broker, DATASET) == 1 and entries(broker, DATASET) == []


def test_who_is_deleted_here_does_not_stand_over_another_source(
    broker: Broker, tmp_path: Path
) -> None:
    here, there = city.county(tmp_path, "371502"), city.county(tmp_path, "371521")
    later = [(NOW + timedelta(minutes=n)).strftime("%Y-%m-%d %H:%M:%S") for n in range(3)]
    city.put(there, city.resident(1, NOW))
    city.collect(broker)
    city.put(here, city.resident(1, NOW, xm="错", xb="男", gxsj=later[1]))
    city.collect(broker)
    city.put(here, city.resident(1, NOW, zxbz="1", gxsj=later[2]))
    city.collect(broker)
    codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
    assert replayed(broker) == {"collected": 0, "overtaken": 1, "wrong": 0, "lost": 0}


def test_who_was_deleted_twice_does_not_come_back(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    later = [(NOW + timedelta(minutes=n)).strftime("%Y-%m-%d %H:%M:%S") for n in range(4)]
    steps = ({}, {"zxbz": "1"}, {"xb": "男"}, {"zxbz": "1"})
    with city.city(tmp_path) as broker:
        for at, step in zip(later, steps, strict=True):
            city.put(path, city.resident(1, NOW, gxsj=at, **step))
            city.collect(broker)
        codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
        assert replayed(broker)["overtaken"] == 1 and live(broker, DATASET) == 0


def test_another_row_that_was_deleted_does_not_keep_a_row_back(tmp_path: Path) -> None:
    """Nobody was ever collected under that key."""
    city.use_mapping(tmp_path)
    give_row_ids(tmp_path)
    path = city.county(tmp_path, "371502")
    later = (NOW + timedelta(minutes=5)).strftime("%Y-%m-%d %H:%M:%S")
    wrong = city.resident(1, NOW, xb="男", bz="r1")
    with city.city(tmp_path) as broker:
        city.put(path, wrong)
        city.collect(broker)
        with sqlite3.connect(path) as db:
            city.add(db, city.resident(1, NOW, zxbz="1", gxsj=later, bz="r2"))
        city.collect(broker)
        codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
        assert replayed(broker)["collected"] == 1 and live(broker, DATASET) == 1


def test_a_key_that_its_other_source_deleted_waits_for_its_own(
    broker: Broker, tmp_path: Path
) -> None:
    path, other = city.county(tmp_path, "371502"), city.county(tmp_path, "371521")
    city.put(path, city.resident(1, NOW))
    city.put(other, city.resident(1, NOW, xm="邻县"))
    city.collect(broker)
    assert [one.reason for one in entries(broker, DATASET)] == ["owned_by_other_source"]
    later = (NOW + timedelta(minutes=5)).strftime("%Y-%m-%d %H:%M:%S")
    owner = entries(broker, DATASET)[0].source
    gone_at = path if owner.endswith("371521") else other
    city.put(gone_at, city.resident(1, NOW, zxbz="1", gxsj=later))
    city.collect(broker)
    assert live(broker, DATASET) == 0
    assert replayed(broker)["wrong"] == 1 and len(entries(broker, DATASET)) == 1


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("what", ["deleted", "mended", "another key"])
def test_what_came_since_at_the_same_time_of_change(tmp_path: Path, ids: bool, what: str) -> None:
    """A source that dates by the day."""
    city.use_mapping(tmp_path)
    if ids:
        give_row_ids(tmp_path)
    path = city.county(tmp_path, "371502")
    day = {"bz": "r1", "gxsj": NOW.strftime("%Y-%m-%d 00:00:00")}
    with city.city(tmp_path) as broker:
        city.put(path, city.resident(1, NOW, xb="男", **day))
        city.collect(broker)
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM t_rkxx")
        number = 101 if what == "another key" else 1
        later = {"zxbz": "1"} if what == "deleted" else {"xm": "新"}
        city.put(path, city.resident(number, NOW, **day, **later))
        city.collect(broker)
        codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
        report = replayed(broker)
        if ids or what != "another key":  # without an id nobody can tell that it was that row
            assert (report["collected"], report["overtaken"]) == (0, 1)
            assert live(broker, DATASET) == (what != "deleted")


def test_what_another_file_only_repeats_has_not_changed(broker: Broker, tmp_path: Path) -> None:
    city.use_mapping(tmp_path, "mz_subsistence_allowance")
    newer = line(1, 致困原因="因故", 月保障金="777.00", 更新时间="2026/02/05 10:00")
    for name, row in (("a.csv", line(1)), ("b.csv", newer), ("c.csv", line(1))):
        drop(tmp_path, "\r\n".join((HEADER, row, line(7 + ord(name[0])), "")), name)
        city.collect(broker, ALLOWANCE)
    codes(tmp_path, "因病: ", "因故: illness, 因病: ", "mz_subsistence_allowance")
    assert replayed(broker, ALLOWANCE)["collected"] == 1


def test_two_rows_of_one_key_are_not_decided_by_a_replay(broker: Broker, tmp_path: Path) -> None:
    with sqlite3.connect(city.county(tmp_path, "371502")) as db:
        for name in ("甲", "乙"):
            city.add(db, city.resident(1, NOW, xm=name))
    city.collect(broker)
    assert replayed(broker)["wrong"] == 2 and live(broker, DATASET) == 0


def test_wrong_in_another_way_is_another_entry(broker: Broker, tmp_path: Path) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW, xb="男", csrq="20019931"))
    city.collect(broker)
    assert [one.reason for one in entries(broker, DATASET)] == ["unknown_code"]
    codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
    assert replayed(broker)["wrong"] == 1
    assert [one.reason for one in entries(broker, DATASET)] == ["impossible_date"]


def test_lines_of_a_file_and_those_that_nothing_is_left_of(broker: Broker, tmp_path: Path) -> None:
    city.use_mapping(tmp_path, "mz_subsistence_allowance")
    lines = [HEADER, line(1, 致困原因="因故"), "x,y", line(2)]
    drop(tmp_path, "\r\n".join((*lines, "")), "低保.csv")
    city.collect(broker, ALLOWANCE)
    codes(tmp_path, "因病: ", "因故: illness, 因病: ", "mz_subsistence_allowance")
    assert replayed(broker, ALLOWANCE) == {"collected": 1, "overtaken": 0, "wrong": 0, "lost": 1}
    assert live(broker, ALLOWANCE) == 2
    drop(tmp_path, "\r\n".join((HEADER, line(2), "")), "低保.更正.csv")
    (report,) = city.collect(broker, ALLOWANCE)
    assert report.counts.deleted == 1, "what was replayed is still of its file"
    assert entries(broker, ALLOWANCE) == []


def test_a_record_that_the_relay_could_not_share(broker: Broker, tmp_path: Path) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, *(city.resident(n, NOW) for n in range(3)))
    city.collect(broker)
    outcome = city.grant(broker, "a", "name sex")
    seen = broker.sealer.open_all
    broken = iter(range(1))

    def once(*batch: Any) -> Any:
        opened, left = seen(*batch)
        for _, bodies in opened.values():
            if next(broken, None) is not None:
                bodies[0] = bodies[0][:-1]
        return opened, left

    broker.sealer.open_all = once  # type: ignore[method-assign]
    city.relay(broker)
    assert [one.source for one in entries(broker, DATASET)] == ["relay"]
    assert len(city.shown(broker, outcome)) == 2
    assert replayed(broker) == {"collected": 1, "overtaken": 0, "wrong": 0, "lost": 0}
    city.relay(broker)
    assert len(city.shown(broker, outcome)) == 3 and entries(broker, DATASET) == []
    assert replayed(broker)["collected"] == 0


def test_a_replay_begins_anew_where_a_runner_came_between(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW, xb="男"))
    city.collect(broker)
    codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
    commit, met = Turn.commit, []

    def between(turn: Turn, batch: Batch) -> None:
        if not met:
            met.append(1)
            city.put(path, city.resident(1, NOW, xm="抢先"))
            with city.city(tmp_path) as other:
                city.collect(other)
        commit(turn, batch)

    replay = broker.replay(DATASET)
    monkeypatch.setattr(Turn, "commit", between)
    (report,) = replay.run()
    assert (report.collected, report.overtaken) == (0, 1)


def test_what_is_wrong_in_another_way_is_kept_over_a_second_try(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW, xb="男", csrq="20019931"))
    city.collect(broker)
    codes(tmp_path, '"1": "1"', '"男": "1", "1": "1"')
    commit, met = Turn.commit, []

    def between(turn: Turn, batch: Batch) -> None:
        if not met:
            met.append(1)
            commit(Turn(DATASET, broker.log), Batch())
        commit(turn, batch)

    replay = broker.replay(DATASET)
    monkeypatch.setattr(Turn, "commit", between)
    (report,) = replay.run()
    assert report.wrong == 1
    assert [one.reason for one in entries(broker, DATASET)] == ["impossible_date"]


def test_of_two_versions_that_are_replayed_the_later_stands(broker: Broker, tmp_path: Path) -> None:
    """Whatever files they came with, and in whatever order they stand in quarantine."""
    city.use_mapping(tmp_path, "mz_subsistence_allowance")
    files = 6
    for day in range(files):
        rows = (
            line(
                n, 致困原因="因故", 月保障金=f"{100 + day}.00", 更新时间=f"2026/01/0{day + 1} 10:00"
            )
            for n in range(4)
        )
        drop(tmp_path, "\r\n".join((HEADER, *rows, "")), f"{files - day}.csv")
        city.collect(broker, ALLOWANCE)
    assert len(entries(broker, ALLOWANCE)) == 4 * files
    codes(tmp_path, "因病: ", "因故: illness, 因病: ", "mz_subsistence_allowance")
    report = replayed(broker, ALLOWANCE)
    assert report == {"collected": 4, "overtaken": 4 * (files - 1), "wrong": 0, "lost": 0}
    assert entries(broker, ALLOWANCE) == []
    amounts = recompute.collected(broker, ALLOWANCE)
    assert [str(one["monthly_amount"]) for one in amounts] == [f"{99 + files}.00"] * 4


def test_of_two_runs_the_first_to_commit_has_the_turn(broker: Broker) -> None:
    broker.log.create_topics({"t": 1})
    first, second = Turn("d", broker.log), Turn("d", broker.log)
    first.commit(Batch(appends=[Append("t", 0, b"1", b"")]))
    with pytest.raises(PositionMoved):
        second.commit(Batch(appends=[Append("t", 0, b"2", b"")]))
    third = Turn("d", broker.log)
    third.commit(Batch(appends=[Append("t", 0, b"3", b"")]))
    with pytest.raises(PositionMoved):
        first.commit(Batch(appends=[Append("t", 0, b"4", b"")]))
    third.commit(Batch(appends=[Append("t", 0, b"5", b"")]))
    assert [one.key for one in broker.log.read("t", 0, 0, 9)] == [b"1", b"3", b"5"]


cells = st.dictionaries(
    st.text(max_size=5),
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.uuids()
    | st.timedeltas(),
    max_size=4,
)


@given(found=cells)
def test_cells_keep_their_types(found: dict[str, Any]) -> None:
    again = unpack(pack(found))
    for name, value in found.items():
        assert again[name] == value and type(again[name]) is type(value)


def test_cells_of_other_types_are_text() -> None:
    kept = {"a": Decimal("1.50"), "b": date(2020, 1, 2), "c": UUID(int=3)}
    assert unpack(pack(kept)) == kept
    assert unpack(pack({"x": frozenset()})) == {"x": "frozenset()"}


# states


def states(broker: Broker) -> dict[str, str]:
    return {one.source: one.state for dataset, one in broker.standings() if dataset == DATASET}


def test_a_source_that_disappears_is_told_and_comes_back(broker: Broker, tmp_path: Path) -> None:
    other = city.county(tmp_path, "371521")
    city.put(city.county(tmp_path, "371502"), city.resident(1, NOW))
    city.put(other, city.resident(2, NOW))
    city.collect(broker)
    away = other.rename(tmp_path / "away")
    reports = {one.source: one for one in city.collect(broker)}
    assert sorted(reports) == [COUNTY, "ga_t_rkxx-371521"]
    lost = reports["ga_t_rkxx-371521"].error
    assert lost is not None and "disappeared" in lost.what and "forget" in lost.mend
    assert reports[COUNTY].error is None
    assert states(broker) == {COUNTY: "idle", "ga_t_rkxx-371521": "failed"}
    city.put(away, city.resident(3, NOW))
    away.rename(other)
    assert all(one.error is None for one in city.collect(broker))
    assert states(broker)["ga_t_rkxx-371521"] == "idle" and live(broker, DATASET) == 3


def test_where_every_file_is_away(broker: Broker, tmp_path: Path) -> None:
    city.put(city.county(tmp_path, "371502"), city.resident(1, NOW))
    city.collect(broker)
    city.county(tmp_path, "371502").unlink()
    reports = city.collect(broker)
    said = {report.error.what for report in reports if report.error}
    assert said == {"no file matches gongan/t_rkxx-*.db", "the source has disappeared"}
    assert states(broker) == {COUNTY: "failed"}


def test_a_file_that_is_cut_off_while_it_is_read(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = city.county(tmp_path, "371502")
    city.put(path, *(city.resident(n, NOW + timedelta(seconds=n)) for n in range(30)))
    from connectors.sql import SqlTable

    page, count = SqlTable._page, []

    def cut(self: SqlTable, *words: Any) -> Any:
        count.append(1)
        if len(count) == 3:
            path.write_bytes(b"not a database any more")
        return page(self, *words)

    whole = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(SqlTable, "_page", cut)
        (report,) = city.collect(broker, limit=5)
    assert report.error is not None and states(broker) == {COUNTY: "failed"}
    assert live(broker, DATASET) == 10
    path.write_bytes(whole)
    (report,) = city.collect(broker, limit=5)
    assert report.error is None and live(broker, DATASET) == 30
    assert states(broker) == {COUNTY: "idle"}


def test_a_mapping_that_is_wrong_stops_no_other(tmp_path: Path) -> None:
    city.use_mapping(tmp_path, "ga_resident_base", "mz_subsistence_allowance")
    city.put(city.county(tmp_path, "371502"), city.resident(1, NOW))
    codes(tmp_path, "kind: csv", "kind: fax", "mz_subsistence_allowance")
    told: list[str] = []
    with city.city(tmp_path, poll_seconds=1) as broker:
        with pytest.raises(MappingError):
            broker.mappings()
        stop = threading.Event()

        def tell(words: str) -> None:
            told.append(words)
            if len(told) == 2:  # the turn in between has read the other
                stop.set()

        role = broker.connect_role(tell)
        role.run(stop)
        role.close()
        assert [one.source for _, one in broker.standings()] == [COUNTY], "the other is told"
        assert ["source.kind" in one.what for one in broker.refused()] == [True]
        assert "fax" not in told[0] and "source.kind" in told[0]
        codes(tmp_path, "kind: fax", "kind: csv", "mz_subsistence_allowance")
        assert live(broker, DATASET) == 1


@pytest.mark.parametrize(
    ("status", "held", "there", "state"),
    [
        (None, "", True, "new"),
        (Status("idle", last_run="2026-01-01T11:59:00+00:00"), "", True, "idle"),
        (Status("running", last_run="2026-01-01T11:59:00+00:00"), "", True, "running"),
        (Status("running", last_run="2026-01-01T11:00:00+00:00"), "", True, "stalled"),
        (Status("idle", last_run="2026-01-01T11:00:00+00:00"), "", True, "stalled"),
        (Status("failed", last_run="2026-01-01T11:00:00+00:00"), "", True, "failed"),
        (Status("idle", last_run="2026-01-01T11:59:00+00:00"), "", False, "failed"),
        (Status("idle", last_run="2026-01-01T11:59:00+00:00"), "paused", True, "paused"),
        (Status("failed", last_run="2026-01-01T11:59:00+00:00"), "30 100", True, "failed"),
    ],
)
def test_states(status: Status | None, held: str, there: bool, state: str) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert standing(status, held, there, now, timedelta(minutes=15))[0] == state
