"""Brokers that end, are killed, or do not answer: a node alone, and one of three."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from kafka.protocol.metadata import MetadataRequest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.errors import LogError
from broker.log.kafka.admin import Admin
from broker.log.kafka.cluster import KafkaCluster
from broker.sharing.rights import rights_to
from broker.sharing.share import CLOSED, CLOSING, LIVE
from deploy.kafka.cluster import Cluster, NoKafka
from deploy.kafka.node import Node
from tests import city, recompute
from tests.faults.ordeal import EACH, Load
from tests.faults.test_processes import people, process, state, until
from tests.kafka import address_of, as_user, emptied, lacking, log_on, own, put_on, running

PEOPLE = 60
DATASET = "ga.resident_base"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        with running(tmp_path_factory.mktemp("kafka"), 3) as cluster:
            yield cluster
    except NoKafka as error:
        lacking(str(error))


def at_first(cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cities of a test are on the emptied cluster. Its users stay: see `KafkaCluster`."""
    log = log_on(cluster, folder, "librdkafka")
    emptied(log)
    log.close()
    put_on(cluster, monkeypatch)


def exact(broker: Broker) -> bool:
    """Every share is what it must be."""
    found = compare_all(broker)
    return bool(found) and all(one.exact for one in found)


def shows(broker: Broker, one: "city.Outcome", turn: int) -> Callable[[], bool]:
    """Asks whether the share shows a name of that turn of the load, or of a later one."""

    def asked() -> bool:
        with suppress(LogError):
            names = [str(record["name"]) for record in city.shown(broker, one).values()]
            return any(name.endswith("改") and int(name[:-1]) >= turn for name in names)
        return False

    return asked


def leader_of(cluster: Cluster, topic: str) -> Node:
    """The node that leads the topic's first partition."""
    admin = Admin(address_of(cluster))
    (found,) = admin.client.describe_topics([topic])
    admin.close()
    leader = next(one["leader_id"] for one in found["partitions"] if one["partition_index"] == 0)
    return next(node for node in cluster.nodes if node.number == leader)


def test_the_broker_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended, and killed; nothing has to be started again, and nothing is lost."""
    people(tmp_path, PEOPLE)
    load = Load(tmp_path, PEOPLE)
    with own(tmp_path / "kafka", monkeypatch) as kafka, city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name")
        with process(tmp_path, "up") as up:
            until(lambda: len(recompute.held(broker, one)) == PEOPLE, 90)
            for number in (signal.SIGTERM, signal.SIGKILL):
                kafka.stop(number)
                load.change()
                time.sleep(2)
                kafka.start()
                until(shows(broker, one, load.turns), 60)
            assert up.poll() is None
        assert exact(broker)


def test_a_leader_is_killed_and_all_restart_one_by_one_under_load(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(tmp_path, PEOPLE)
    at_first(three, tmp_path, monkeypatch)
    load = Load(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name")
        with process(tmp_path, "up") as up:
            until(lambda: len(recompute.held(broker, one)) == PEOPLE, 60)
            with load.going_on():
                leader = leader_of(three, f"collected.{DATASET}")
                three.end(leader, signal.SIGKILL)
                killed = load.turns
                until(lambda: load.turns > killed + 2)
                until(shows(broker, one, load.turns), 60)  # without it
                three.start()
                for node in three.nodes:
                    three.end(node, signal.SIGTERM)
                    until(lambda node=node: not three.pid(node), 30)
                    three.start()
                    time.sleep(1)
            assert load.turns > killed + 10
            load.change()
            until(shows(broker, one, load.turns), 60)
            assert up.poll() is None
        assert exact(broker) and len(recompute.held(broker, one)) == PEOPLE


def test_a_broker_that_does_not_answer_confirms_nothing(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped while grants are revoked: the share stays CLOSING; once the broker goes on it
    refuses like the others, what a reader had asked it before included."""
    people(tmp_path, PEOPLE)
    at_first(three, tmp_path, monkeypatch)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "name")
        alone = city.grant(broker, "c", "sex")
        assert one.share and other.share == one.share and alone.share
        topic = one.share.topic
        password, _ = broker.credentials.rotate("a"), broker.credentials.rotate("c")
        city.relay(broker)
        assert state(broker, one.grant.id) == state(broker, alone.grant.id) == LIVE
        reader = waiting_reader(three, password, topic, broker)
        stopped = leader_of(three, topic)
        three.end(stopped, signal.SIGSTOP)
        try:
            broker.sharing.revoke(one.grant.id, "r")
            broker.sharing.revoke(alone.grant.id, "r")
            assert not closed(broker, alone.share.id)
            assert broker.sharing.share(alone.share.id).state == CLOSING
        finally:
            three.end(stopped, signal.SIGCONT)
        until(lambda: closed(broker, alone.share.id), 60)
        assert broker.life.unconfirmed == []
        ends = [broker.log.end(topic, number) for number in range(4)]
        load = Load(tmp_path, PEOPLE)
        for _ in range(3):
            load.change()
        city.collect(broker, limit=1_000)
        city.relay(broker)
        assert sum(broker.log.end(topic, number) for number in range(4)) >= sum(ends) + 3 * EACH
        refused = False
        started = time.monotonic()
        while time.monotonic() - started < (3 if refused else 60):
            found = reader.poll(0.05)
            if found is not None and (error := found.error()) is not None:
                refused |= error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            elif found is not None:
                raise AssertionError("it was written after the right had ended")
        reader.close()
        assert refused and exact(broker)


def test_a_broker_that_says_nothing_is_not_waited_for(three: Cluster) -> None:
    """It takes connections, and answers none: whoever asks each broker names it, in time."""
    right = rights_to({("somebody", "shared.x")})
    known = KafkaCluster(address_of(three))
    assert known.unconfirmed(right) == []
    stopped = three.nodes[1]
    three.end(stopped, signal.SIGSTOP)
    try:
        for cluster in (known, KafkaCluster(address_of(three))):
            started = time.monotonic()
            with suppress(LogError):
                assert cluster.unconfirmed(right) in ([], [f"broker {stopped.number}"])
            assert time.monotonic() - started < 40
            cluster.close()
    finally:
        three.end(stopped, signal.SIGCONT)


def test_a_broker_that_came_back_is_asked(three: Cluster) -> None:
    """The library looks every five minutes for brokers; whoever asks each of them looks at once."""
    right = rights_to({("somebody", "shared.x")})
    known = KafkaCluster(address_of(three))
    assert known.unconfirmed(right) == []
    library = known._admin.client._manager.cluster
    for forgotten in [one.node_id for one in library.brokers()][1:]:
        library._brokers.pop(forgotten)
    assert known.unconfirmed(right) == []
    assert len(library.brokers()) == 3
    known.close()


def test_a_topic_is_there_where_any_broker_shows_it(
    three: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was away does not know yet what was made meanwhile."""
    admin = Admin(address_of(three))
    admin.create({"collected.x.y": 2})
    manager = admin.client._manager
    send = manager.send

    def without(request: Any, node: int | None = None, **words: Any) -> Any:
        """The first broker asked knows no topic."""
        if node is None and type(request) is MetadataRequest:
            request.topics = []
        return send(request, node, **words)

    monkeypatch.setattr(manager, "send", without)
    assert admin.client.describe_topics() == []
    assert admin.topics()["collected.x.y"] == 2
    monkeypatch.undo()
    admin.delete("collected.x.y")
    admin.close()


def closed(broker: Broker, share: str) -> bool:
    """Whether a share is closed, after another try."""
    with suppress(LogError):
        broker.life.advance()
    return broker.sharing.share(share).state == CLOSED


def waiting_reader(cluster: Cluster, password: str, topic: str, broker: Broker) -> Consumer:
    """A reader of a whole topic that has read it and waits at the brokers, for a minute and for
    more than will come."""
    consumer = Consumer(
        as_user(cluster, "a", password)
        | {
            "group.id": "a.app",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 60_000,
            "fetch.min.bytes": 50_000_000,
            "socket.timeout.ms": 90_000,
            "topic.metadata.refresh.interval.ms": 90_000,
        }
    )
    ends = [TopicPartition(topic, number, broker.log.end(topic, number)) for number in range(4)]
    consumer.assign(ends)
    assert consumer.poll(3) is None
    return consumer
