"""The contract of `broker.log.interface`, the same for every engine."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.errors import LogError, PositionMoved, UnknownTopic
from broker.log import place
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, End, Entries, Log, PositionWrite, Run, TableWrite
from broker.log.kafka.engine import KafkaLog
from tests import city, kafka


@pytest.fixture(params=["embedded", *kafka.TRANSPORTS])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Log]:
    """Opens the log of this test once more, as another process would."""
    if request.param == "embedded":
        return lambda: EmbeddedLog(tmp_path / "log.db")
    cluster = request.getfixturevalue("kafka")
    return lambda: kafka.log_on(cluster, tmp_path, request.param)


@pytest.fixture
def log(opening: Callable[[], Log]) -> Iterator[Log]:
    engine = opening()
    engine.create_topics({"a": 2})
    yield engine
    if isinstance(engine, KafkaLog):
        kafka.emptied(engine)
    engine.close()


def offsets(log: Log, partition: int = 0) -> list[int]:
    """Where the records of topic `a` stand; there may be gaps."""
    return [one.offset for one in log.read("a", partition, 0, 1_000)]


def test_records_come_back_in_order_with_growing_offsets(log: Log) -> None:
    log.commit(Batch([Append("a", 0, b"k", b"1"), Append("a", 0, b"k", None)]))
    log.commit(Batch([Append("a", 0, b"l", b"2"), Append("a", 1, b"m", b"3")]))
    read = log.read("a", 0, 0, 10)
    assert [(r.key, r.value) for r in read] == [(b"k", b"1"), (b"k", None), (b"l", b"2")]
    first, second, third = offsets(log)
    assert first < second < third < log.end("a", 0)
    assert [r.offset for r in log.read("a", 0, second, 1)] == [second]
    assert log.keys("a", 0, second, 10) == [(second, b"k"), (third, b"l")]
    page = log.page("a", 0, second, 10)
    assert [list(one) for one in page] == [[second, third], [b"k", b"l"], [None, b"2"]]
    assert len(log.page("a", 0, 0, 2).keys) == 2 and not log.page("a", 0, third + 1, 10).keys
    assert len(log.keys("a", 0, 0, 2)) == 2 and len(offsets(log, 1)) == 1
    assert not log.read("a", 0, third + 1, 10) and not log.read("a", 0, log.end("a", 0), 10)
    assert len(log.read("a", 0, 0, 1 << 30)) == 3, "as many as there are"


def test_runs_and_many_entries_land_as_single_ones_do(log: Log) -> None:
    batch = Batch([Append("a", 0, b"k", b"1")], [TableWrite("t", 0, b"x", b"old")])
    batch.tables.append(TableWrite("t", 0, b"y", b"2"))
    batch.runs += [Run("a", 0, [b"l", b"k"], [b"2", None]), Run("a", 1, [b"m"], [b"3"])]
    batch.entries += [Entries("t", 0, {b"x": b"new", b"z": b"3"}), Entries("t", 1, {b"x": b"1"})]
    log.commit(batch)
    assert [r[1:3] for r in log.read("a", 0, 0, 9)] == [(b"k", b"1"), (b"l", b"2"), (b"k", None)]
    assert [r[1:3] for r in log.read("a", 1, 0, 9)] == [(b"m", b"3")]
    times = {r.timestamp for number in (0, 1) for r in log.read("a", number, 0, 9)}
    assert len(times) == 1 and abs(times.pop() / 1000 - time.time()) < 60
    found = log.entries("t", 0, [b"x", b"y", b"z"])
    assert found == {b"x": b"new", b"y": b"2", b"z": b"3"}
    log.commit(Batch(entries=[Entries("t", 0, {b"x": None, b"y": b"4"})]))
    assert log.entries("t", 0, [b"x", b"y"]) == {b"y": b"4"}
    assert log.entries("t", 1, [b"x"]) == {b"x": b"1"}
    with pytest.raises(UnknownTopic):
        log.commit(Batch(runs=[Run("nowhere", 0, [b"k"], [b"v"])]))


def test_what_several_partitions_have_is_read_together_whole_or_not_at_all(log: Log) -> None:
    """Up to where each ended when it was asked: what came since is not of it."""
    for number in range(3):
        log.commit(Batch(runs=[Run("a", part, [b"%d" % number], [b"v"]) for part in (0, 1)]))
    read = {part: log.page("a", part, 0, 10) for part in (0, 1)}
    first = read[0].offsets[0]
    ranges = {("a", 0): (first + 1, log.end("a", 0)), ("a", 1): (0, log.end("a", 1))}
    log.commit(Batch(runs=[Run("a", part, [b"later"], [b"v"]) for part in (0, 1)]))
    for _ in range(2):  # it is asked again and again
        found = log.pages(ranges)
        assert found.keys() <= ranges.keys()
        for (_, part), page in found.items():
            whole = [list(one) for one in read[part]]
            assert [list(one) for one in page] == [one[1:] if part == 0 else one for one in whole]
    assert log.pages({}) == {}


def test_a_page_of_large_records_ends_before_its_limit(log: Log) -> None:
    large = [os.urandom(3_000_000) for _ in range(40)]
    for start in range(0, 40, 4):
        log.commit(Batch(runs=[Run("a", 0, [b"k"] * 4, large[start : start + 4])]))
    offset, found, pages, most = 0, list[bytes | None](), 0, 0
    while (page := log.page("a", 0, offset, 1_000)).keys:
        most = max(most, len(page.values))
        found += page.values
        offset, pages = page.offsets[-1] + 1, pages + 1
    same = found == large
    assert same and pages < 12 and most < 35, "not all of it stands in memory"


def test_a_moved_position_lands_nothing(log: Log) -> None:
    log.commit(Batch(positions=[PositionWrite("p", None, b"1")]))
    batch = Batch(
        [Append("a", 0, b"k", b"v")],
        [TableWrite("t", 0, b"k", b"v")],
        [PositionWrite("p", b"0", b"2")],
    )
    with pytest.raises(PositionMoved):
        log.commit(batch)
    assert offsets(log) == []
    assert log.entries("t", 0, [b"k"]) == {}
    assert log.position("p") == b"1"


def test_an_unknown_topic_lands_nothing_of_the_batch(log: Log) -> None:
    with pytest.raises(UnknownTopic):
        log.commit(Batch([Append("a", 0, b"k", b"v"), Append("b", 0, b"k", b"v")]))
    assert offsets(log) == []


def test_tables_keep_the_last_value_by_partition(log: Log) -> None:
    log.commit(Batch(tables=[TableWrite("t", 0, b"k", b"1"), TableWrite("t", 0, b"k", b"2")]))
    log.commit(Batch(tables=[TableWrite("t", 1, b"k", b"3"), TableWrite("t", 0, b"l", b"4")]))
    assert log.entries("t", 0, [b"k", b"l", b"x"]) == {b"k": b"2", b"l": b"4"}
    log.commit(Batch(tables=[TableWrite("t", 0, b"k", None)]))
    assert log.scan("t", 0, b"", 10) == [(b"l", b"4")]


def test_partition_counts_are_for_life(log: Log) -> None:
    log.create_topics({"a": 2})
    with pytest.raises(LogError, match="has 2 partitions"):
        log.create_topics({"a": 3})


def test_a_deleted_topic_is_gone_and_the_next_starts_empty(log: Log) -> None:
    log.commit(Batch([Append("a", 0, b"k", b"v")]))
    log.delete_topic("a")
    with pytest.raises(UnknownTopic):
        log.read("a", 0, 0, 1)
    log.create_topics({"a": 2})
    assert list(log.read("a", 0, 0, 10)) == []


def test_the_file_is_its_owners_and_removed_values_are_overwritten(tmp_path: Path) -> None:
    engine = EmbeddedLog(tmp_path / "log.db")
    engine.create_topics({"a": 1})
    engine.commit(Batch([Append("a", 0, b"k", b"a value to be wiped")]))
    for name in ("log.db", "log.db-wal"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    engine.delete_topic("a")
    assert engine.wiped()
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert not any(b"a value to be wiped" in data for data in files)
    engine.close()


def test_wiping_waits_for_a_reader_of_an_older_state(tmp_path: Path) -> None:
    engine = EmbeddedLog(tmp_path / "log.db")
    engine.create_topics({"a": 1})
    engine.commit(Batch([Append("a", 0, b"k", b"a value to be wiped")]))
    reader = sqlite3.connect(tmp_path / "log.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM record").fetchone()
    engine.delete_topic("a")
    assert not engine.wiped()
    reader.close()
    assert engine.wiped()
    engine.close()


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [(Path("/"), "ext4"), (tmp_path.resolve(), "nfs4"), (tmp_path / "disk", "xfs")]
    monkeypatch.setattr(place, "_mounts", lambda: mounts)
    with pytest.raises(LogError, match="network file system"):
        EmbeddedLog(tmp_path / "log.db")
    assert not (tmp_path / "log.db").exists()
    EmbeddedLog(tmp_path / "disk" / "log.db").close()


def test_this_machine_names_its_mounts() -> None:
    assert any(mount == Path("/") and kind for mount, kind in place._mounts())


def test_a_position_may_be_taken_away(log: Log) -> None:
    log.commit(
        Batch(positions=[PositionWrite("p.1", None, b"1"), PositionWrite("p.2", None, b"2")])
    )
    log.commit(Batch(positions=[PositionWrite("p.1", b"1", None)]))
    assert log.position("p.1") is None and log.positions("p.") == {"p.2": b"2"}
    log.forget("p.")
    assert log.positions("p.") == {}


def test_who_waits_is_woken_by_a_topic_that_was_not_there(
    log: Log, opening: Callable[[], Log]
) -> None:
    """Whoever found nothing to do without it would otherwise wait for the next commit."""
    other = opening()
    for number, maker in enumerate((log, other)):
        seen = log.changes()
        while (now := log.wait(seen, 0.5)) != seen:
            seen = now
        maker.create_topics({f"shared.ga.x.s{number}": 2})
        assert log.wait(seen, 5) != seen
    other.close()


def test_positions_are_found_by_how_their_names_start(log: Log, opening: Callable[[], Log]) -> None:
    names = ["p", "p.", "p.1", "p.区", "p.z", "p0", "o.9", "q.1"]
    other = opening()
    other.commit(Batch(positions=[PositionWrite(name, None, name.encode()) for name in names]))
    assert list(log.positions("p.")) == ["p.", "p.1", "p.z", "p.区"]
    assert log.positions("p.区") == {"p.区": "p.区".encode()} and log.positions("x") == {}
    assert set(names) <= log.positions("").keys()
    other.close()


def test_the_ends_of_many_partitions_are_told_together(
    log: Log, opening: Callable[[], Log]
) -> None:
    other = opening()
    places = [("a", 0), ("missing", 0), ("a", 1)]
    assert log.ends(places) == {("a", 0): End(0, False), ("a", 1): End(0, False)}
    other.commit(Batch([Append("a", 1, b"k", b"v")]))
    city.until(lambda: log.ends(places)["a", 1].offset > 0, 5)
    city.until(lambda: not log.ends(places)["a", 1].growing, 5)
    assert log.ends(places) == {("a", one): End(other.end("a", one), False) for one in (0, 1)}
    other.delete_topic("a")
    assert log.ends(places) == {} == log.ends([])
    other.close()


def test_a_topic_that_another_process_made_is_there_at_once(
    log: Log, opening: Callable[[], Log]
) -> None:
    other = opening()
    assert log.there(["a", "b"]) == {"a"}
    other.create_topics({"b": 1})
    assert log.there(["b", "c", "a"]) == {"a", "b"}
    other.delete_topic("b")
    city.until(lambda: not log.there(["b"]), 3)
    with pytest.raises(UnknownTopic):
        log.commit(Batch([Append("b", 0, b"k", b"v")]))
    other.close()


def test_what_is_committed_once_somebody_has_asked_is_told(
    log: Log, opening: Callable[[], Log]
) -> None:
    """Also what comes before whoever follows the log has begun."""
    for _ in range(3):
        reader = opening()
        seen = reader.changes()
        log.commit(Batch([Append("a", 0, b"k", b"v")]))
        assert reader.wait(seen, 5) != seen
        reader.close()


def test_a_waiting_reader_is_woken_in_this_process_and_from_another(
    log: Log, opening: Callable[[], Log]
) -> None:
    other = opening()
    for writer in (log, other):
        seen = log.changes()
        while (now := log.wait(seen, 0.5)) != seen:
            seen = now
        found: list[float] = []

        def wait(seen: int = seen, found: list[float] = found) -> None:
            log.wait(seen, 10)
            found.append(time.monotonic())

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        assert not found
        started = time.monotonic()
        writer.commit(Batch([Append("a", 0, b"k", b"v")]))
        thread.join(10)
        assert found and found[0] - started < 5
    other.close()


@pytest.mark.parametrize("opening", ["embedded"], indirect=True)
def test_compaction_keeps_the_last_version_and_every_offset(log: Log) -> None:
    log.commit(Batch([Append("a", 0, b"k", b"1"), Append("a", 0, b"l", b"1")]))
    log.commit(Batch([Append("a", 0, b"k", b"2"), Append("a", 0, b"m", None)]))
    log.commit(Batch([Append("a", 0, b"l", None), Append("a", 0, b"n", b"1")]))
    assert log.compact("a", 0, 3, 0) == 1, "below 3 only k was superseded"
    assert log.compact("a", 0, None, 0) == 1
    read = log.read("a", 0, 0, 10)
    assert [(r.offset, r.key, r.value) for r in read] == [
        (2, b"k", b"2"),
        (3, b"m", None),
        (4, b"l", None),
        (5, b"n", b"1"),
    ]
    later = time.time_ns() // 1_000_000 + 10
    assert log.compact("a", 0, 4, later) == 0, "the last below the bound stays"
    assert log.compact("a", 0, None, later) == 2
    assert [r.offset for r in log.read("a", 0, 0, 10)] == [2, 5]
    log.commit(Batch([Append("a", 0, b"o", b"1")]))
    assert log.end("a", 0) == 7 and log.compact("a", 1, None, later) == 0


def test_what_is_superseded_is_unreadable_in_the_file(tmp_path: Path) -> None:
    engine = EmbeddedLog(tmp_path / "log.db")
    engine.create_topics({"a": 1})
    engine.commit(Batch([Append("a", 0, b"k", b"a value that was superseded")]))
    engine.commit(Batch([Append("a", 0, b"k", b"a value that stays")]))
    assert engine.compact("a", 0, None, 0) == 1 and engine.wiped()
    data = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"a value that stays" in data and b"a value that was superseded" not in data
    engine.close()


def test_of_two_writers_the_one_that_was_first_lands(log: Log, opening: Callable[[], Log]) -> None:
    """Both have read the same position; a third time the first is no longer expected."""
    other = opening()
    log.commit(Batch(positions=[PositionWrite("runner.d.s", None, b"1")]))
    assert other.position("runner.d.s") == b"1"
    won = Batch([Append("a", 0, b"k", b"won")], [], [PositionWrite("runner.d.s", b"1", b"2")])
    lost = Batch([Append("a", 0, b"k", b"lost")], [], [PositionWrite("runner.d.s", b"1", b"3")])
    other.commit(won)
    for _ in range(2):
        with pytest.raises(PositionMoved):
            log.commit(lost)
    assert [one.value for one in log.read("a", 0, 0, 10)] == [b"won"]
    assert log.position("runner.d.s") == other.position("runner.d.s") == b"2"
    log.commit(Batch(positions=[PositionWrite("runner.d.s", b"2", b"3")]))
    assert other.position("runner.d.s") == b"3"
    other.close()


@pytest.mark.parametrize("name", ["runner.d.s", "year.d.s"])
def test_who_lost_reads_again_and_lands(log: Log, opening: Callable[[], Log], name: str) -> None:
    """Also where he had committed that position himself before."""
    other = opening()
    log.commit(Batch(positions=[PositionWrite(name, None, b"1")]))
    for turn in range(3):
        for writer, rival in ((other, log), (log, other)):
            before = rival.position(name)
            writer.commit(Batch(positions=[PositionWrite(name, before, b"%d" % turn + b"a")]))
            with pytest.raises(PositionMoved):
                rival.commit(Batch(positions=[PositionWrite(name, b"none", b"x")]))
            for _ in range(2):  # as a runner begins again
                try:
                    now = rival.position(name)
                    rival.commit(Batch(positions=[PositionWrite(name, now, b"%d" % turn)]))
                    break
                except PositionMoved:
                    continue
            else:
                pytest.fail("it never lands again")
    other.close()


def test_what_one_process_commits_another_reads(log: Log, opening: Callable[[], Log]) -> None:
    other = opening()
    for number in range(20):
        value = str(number).encode()
        writer, reader = (log, other) if number % 2 else (other, log)
        writer.commit(Batch([Append("a", 1, b"k", value)], [TableWrite("t", 1, b"k", value)]))
        assert reader.entries("t", 1, [b"k"]) == {b"k": value}
        assert reader.read("a", 1, 0, 1_000)[-1].value == value
    assert len(offsets(log, 1)) == 20
    other.close()


def test_a_large_batch_is_read_in_pages(log: Log) -> None:
    log.commit(Batch([Append("a", 0, b"%d" % n, b"v" * 100) for n in range(12_000)]))
    found: list[bytes] = []
    offset = 0
    while page := log.read("a", 0, offset, 5_000):
        assert len(page) <= 5_000
        found += [one.key for one in page]
        offset = page[-1].offset + 1
    assert found == [b"%d" % n for n in range(12_000)]
