"""What a log on Kafka holds to beyond the contract of every log, with either transport."""

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker.errors import LogError, PositionMoved, UnknownTopic
from broker.log.interface import Append, Batch, PositionWrite, Run
from broker.log.kafka.address import Address
from broker.log.kafka.choose import transport
from broker.log.kafka.cluster import KafkaCluster
from broker.log.kafka.engine import KafkaLog
from deploy.kafka.cluster import Cluster
from tests import city
from tests import kafka as on


@pytest.fixture(params=on.TRANSPORTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log(kafka: Cluster, tmp_path: Path, name: str) -> Iterator[KafkaLog]:
    engine = on.log_on(kafka, tmp_path, name)
    engine.create_topics({"a": 4})
    yield engine
    on.emptied(engine)
    engine.close()


def values(log: KafkaLog, partition: int = 0) -> list[bytes | None]:
    return [one.value for one in log.read("a", partition, 0, 100)]


def test_nothing_uncommitted_is_ever_read(log: KafkaLog, kafka: Cluster, name: str) -> None:
    """A transaction is open, then it is aborted; what is committed beside it comes after it."""
    from confluent_kafka import Producer

    other = Producer({**on.address_of(kafka).librdkafka(), "transactional.id": "open"})
    other.init_transactions(10)
    log.commit(Batch([Append("a", 0, b"k", b"before")]))
    other.begin_transaction()
    other.produce("a", b"open", b"k", 0)
    other.flush(10)
    assert values(log) == [b"before"]
    log.commit(Batch([Append("a", 0, b"k", b"beside")]))
    assert values(log) == [b"before"], "it stands behind what is open"
    assert [log.ends([("a", number)])["a", number].growing for number in (0, 1)] == [True, False]
    other.abort_transaction(10)
    city.until(lambda: values(log) == [b"before", b"beside"], 10)
    city.until(lambda: not log.ends([("a", 0)])["a", 0].growing, 5)


def test_a_send_that_expires_never_commits(log: KafkaLog, kafka: Cluster) -> None:
    """The broker is stopped for longer than a send may take; what was asked for meanwhile is
    refused, and nothing of it is there afterwards."""
    log.commit(Batch([Append("a", 0, b"k", b"before")]))
    (node,) = kafka.nodes
    kafka.end(node, signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(LogError):
            log.commit(Batch([Append("a", part, b"k", b"expired") for part in range(4)]))
    finally:
        kafka.end(node, signal.SIGCONT)
    assert time.monotonic() - started < 60
    deadline = time.monotonic() + 60
    while True:
        try:
            log.commit(Batch([Append("a", 0, b"k", b"after")]))
            break
        except LogError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    assert values(log) == [b"before", b"after"]
    assert [values(log, part) for part in range(1, 4)] == [[], [], []]


def test_a_batch_that_is_late_for_its_partition_never_lands(
    log: KafkaLog, kafka: Cluster, tmp_path: Path, name: str
) -> None:
    """It was ours when the batch was made. Before it is written the group gives it to another, who
    lands; we stay a member all the time, and hear of everything."""
    topic, late = "collected.x.y", "relay.x.y"
    log.create_topics({topic: 4})
    places = [(topic, number) for number in range(4)]
    city.until(lambda: all(log.owns(*place) for place in places), 20)
    first = [PositionWrite(f"{late}.{number}", None, b"1") for number in range(4)]
    log.commit(Batch(positions=first, consumed=dict.fromkeys(places, 1)))
    member = log._work._member
    assert member is not None
    turn, others = member.turn(), list[KafkaLog]()
    runs = log._runs

    def slow(batch: Batch) -> list[Run]:
        others.append(on.log_on(kafka, tmp_path / "other", name))
        others[0].owns(topic, 0)  # he joins
        city.until(lambda: member.turn() > turn, 20)
        city.until(landed, 20)
        return runs(batch)

    def landed() -> bool:
        """Whether another has landed in a partition that is his now."""
        for number in (one for one in range(4) if others[0].owns(topic, one)):
            moves = [PositionWrite(f"{late}.{number}", b"1", b"theirs")]
            with suppress(PositionMoved):
                others[0].commit(Batch(positions=moves, consumed={(topic, number): 2}))
                return True
        return False

    (tmp_path / "other").mkdir()
    log._runs = slow  # type: ignore[method-assign]
    moves = [PositionWrite(f"{late}.{number}", b"1", b"late") for number in range(4)]
    batch = Batch([Append("a", 0, b"k", b"late")], positions=moves)
    batch.consumed.update(dict.fromkeys(places, 2))
    with pytest.raises(PositionMoved):
        log.commit(batch)
    log._runs = runs  # type: ignore[method-assign]
    (other,) = others
    assert {other.position(f"{late}.{number}") for number in range(4)} == {b"1", b"theirs"}
    assert values(other) == []
    other.close()


def test_what_was_superseded_goes_also_where_nobody_writes_any_more(
    log: KafkaLog, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hours as seconds. A broker alone would keep the last segment as it is."""
    soon = {"segment.ms": "2000", "max.compaction.lag.ms": "2000", "delete.retention.ms": "1000"}
    cluster = KafkaCluster(on.address_of(kafka))
    cluster.set_topic("a", soon)
    cluster.close()
    monkeypatch.setattr("broker.log.kafka.quiet.SEGMENT_SECONDS", 2.5)
    log.commit(Batch([Append("a", 0, b"k", b"WITHDRAWN"), Append("a", 1, b"k", b"stays")]))
    log.commit(Batch([Append("a", 0, b"k", None)]))
    seen = set()

    def gone() -> bool:
        ends = log.ends([("a", number) for number in range(4)])
        log.end_quiet({place: end.offset for place, end in ends.items()})
        seen.add(ends["a", 0].offset)
        return b"WITHDRAWN" not in values(log)

    city.until(gone, 60)
    assert values(log, 1) == [b"stays"]
    for _ in range(8):
        gone()
        time.sleep(0.5)
    assert len(seen) <= 2, "one record more, however long it is quiet"


def test_a_key_is_in_the_partition_that_was_computed(
    log: KafkaLog, kafka: Cluster, tmp_path: Path
) -> None:
    keys = [b"%d" % n for n in range(40)]
    log.commit(Batch([Append("a", int(key) % 4, key, b"v") for key in keys]))
    for other in on.TRANSPORTS:
        reading = on.log_on(kafka, tmp_path / other, other)
        for part in range(4):
            found = {int(one.key) % 4 for one in reading.read("a", part, 0, 100)}
            assert found == {part}
        reading.close()


def test_the_copies_are_of_this_cluster(log: KafkaLog, tmp_path: Path) -> None:
    """A copy of another cluster is thrown away."""
    from broker.log.interface import TableWrite
    from broker.log.kafka.copies import Copies

    log.commit(Batch(tables=[TableWrite("t", 0, b"k", b"v")]))
    assert log.entries("t", 0, [b"k"]) == {b"k": b"v"}
    log._copies.close()
    log._copies = Copies(tmp_path / "kafka.db", "another", log._readers)
    assert log._copies._local.entries("table.t", 0, [b"k"]) == {}
    assert log.entries("t", 0, [b"k"]) == {b"k": b"v"}, "made anew"


def test_a_cluster_that_is_not_there_is_told_within_ten_seconds(tmp_path: Path, name: str) -> None:
    address: Any = Address("127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(LogError, match="cannot be reached"):
        KafkaLog(address, tmp_path, transport(name, address))
    assert time.monotonic() - started < 10


def test_a_wrong_password_is_told(kafka: Cluster, tmp_path: Path, name: str) -> None:
    right = on.address_of(kafka)
    wrong = Address(right.servers, right.user, "wrong", right.authority)
    started = time.monotonic()
    with pytest.raises(LogError, match="password"):
        KafkaLog(wrong, tmp_path, transport(name, wrong))
    assert time.monotonic() - started < 10


def test_a_partition_that_has_no_leader_yet_is_waited_for() -> None:
    """As it is for a moment after its topic was made."""
    from confluent_kafka import KafkaError, KafkaException

    from broker.log.kafka.librdkafka import reading

    answers: list[Any] = [KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)] * 2

    class Asked:
        def get_watermark_offsets(self, *words: Any, **more: Any) -> tuple[int, int]:
            if answers:
                raise KafkaException(answers.pop())
            return 0, 7

        def list_topics(self, **more: Any) -> Any:
            """It has been deleted."""
            return SimpleNamespace(topics={})

    assert reading._end(Asked(), "a", 0) == 7  # type: ignore[arg-type]
    answers += [KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)] * 3
    assert reading._end(Asked(), "a", 0) == 7, "not every broker had heard of it"  # type: ignore[arg-type]
    answers += [KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)] * 100
    with pytest.raises(UnknownTopic):
        reading._end(Asked(), "a", 0)  # type: ignore[arg-type]


def test_little_of_many_partitions_is_read_by_one_request(kafka: Cluster, tmp_path: Path) -> None:
    """What there is no room for is left out, and read by itself."""
    log = on.log_on(kafka, tmp_path, "librdkafka")
    try:
        log.create_topics({"a": 4})
        for _ in range(3):
            runs = [Run("a", number, [b"k"], [bytes(9_000_000)]) for number in range(3)]
            log.commit(Batch(runs=runs))
        log.commit(Batch([Append("a", 3, b"k", b"1")]))
        ends = {number: log.end("a", number) for number in range(4)}
        some = log.pages({("a", number): (0, ends[number]) for number in (0, 3)})
        assert [len(page.keys) for page in some.values()] == [3, 1]
        found = log.pages({("a", number): (0, end) for number, end in ends.items()})
        assert len(found) < 4 and all(
            len(one.keys) == 3 - 2 * (p[1] == 3) for p, one in found.items()
        )
    finally:
        on.emptied(log)
        log.close()
