"""The contract of `broker.log.interface`, the same for every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.errors import LogError, PositionMoved, UnknownTopic
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, Log, PositionWrite, TableWrite


@pytest.fixture(params=["embedded"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    engine = EmbeddedLog(tmp_path / "log.db")
    engine.create_topic("a", 2)
    yield engine
    engine.close()


def test_records_come_back_in_order_with_growing_offsets(log: Log) -> None:
    log.commit(Batch([Append("a", 0, b"k", b"1"), Append("a", 0, b"k", None)]))
    log.commit(Batch([Append("a", 0, b"l", b"2"), Append("a", 1, b"m", b"3")]))
    read = log.read("a", 0, 0, 10)
    assert [(r.offset, r.key, r.value) for r in read] == [
        (0, b"k", b"1"),
        (1, b"k", None),
        (2, b"l", b"2"),
    ]
    assert [r.offset for r in log.read("a", 0, 1, 1)] == [1]
    assert log.keys("a", 0, 1, 10) == [(1, b"k"), (2, b"l")] and len(log.keys("a", 0, 0, 2)) == 2
    assert log.end("a", 0) == 3 and log.end("a", 1) == 1


def test_a_moved_position_lands_nothing(log: Log) -> None:
    log.commit(Batch(positions=[PositionWrite("p", None, b"1")]))
    batch = Batch(
        [Append("a", 0, b"k", b"v")],
        [TableWrite("t", 0, b"k", b"v")],
        [PositionWrite("p", b"0", b"2")],
    )
    with pytest.raises(PositionMoved):
        log.commit(batch)
    assert log.end("a", 0) == 0
    assert log.entries("t", 0, [b"k"]) == {}
    assert log.position("p") == b"1"


def test_an_unknown_topic_lands_nothing_of_the_batch(log: Log) -> None:
    with pytest.raises(UnknownTopic):
        log.commit(Batch([Append("a", 0, b"k", b"v"), Append("b", 0, b"k", b"v")]))
    assert log.end("a", 0) == 0


def test_tables_keep_the_last_value_by_partition(log: Log) -> None:
    log.commit(Batch(tables=[TableWrite("t", 0, b"k", b"1"), TableWrite("t", 0, b"k", b"2")]))
    log.commit(Batch(tables=[TableWrite("t", 1, b"k", b"3"), TableWrite("t", 0, b"l", b"4")]))
    assert log.entries("t", 0, [b"k", b"l", b"x"]) == {b"k": b"2", b"l": b"4"}
    log.commit(Batch(tables=[TableWrite("t", 0, b"k", None)]))
    assert log.scan("t", 0, b"", 10) == [(b"l", b"4")]


def test_partition_counts_are_for_life(log: Log) -> None:
    log.create_topic("a", 2)
    with pytest.raises(LogError, match="has 2 partitions"):
        log.create_topic("a", 3)


def test_a_deleted_topic_is_gone_and_the_next_starts_empty(log: Log) -> None:
    log.commit(Batch([Append("a", 0, b"k", b"v")]))
    log.delete_topic("a")
    with pytest.raises(UnknownTopic):
        log.read("a", 0, 0, 1)
    log.create_topic("a", 2)
    assert log.read("a", 0, 0, 10) == []
