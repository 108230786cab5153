"""What consumers may do on a real Kafka, tried as themselves: nothing but what is granted."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from kafka import TopicPartition as PurePartition
from kafka.admin import KafkaAdminClient
from kafka.errors import GroupAuthorizationFailedError, NoError
from kafka.structs import OffsetAndMetadata

from broker.bootstrap import Broker
from broker.cli.share import current
from broker.doctor import examine
from broker.errors import GrantError, SettingsError
from broker.log.cluster import Right
from broker.sharing.rights import group_right, rights_to
from broker.sharing.share import LIVE
from deploy.kafka.cluster import Cluster
from tests import city
from tests.kafka import as_user, cleared, remove_user, user_address

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)

REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
}
"""How the brokers refuse; a topic that somebody may not know of is unknown to him."""


@pytest.fixture
def broker(kafka: Cluster, on_kafka: Callable[[str], None], tmp_path: Path) -> Iterator[Broker]:
    on_kafka("librdkafka")
    city.use_mapping(tmp_path)
    city.put(city.county(tmp_path, "371502"), *(city.resident(n, NOW) for n in range(20)))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        yield broker
    cleared(kafka)


def user(broker: Broker, name: str, items: str = "name sex") -> tuple[str, str]:
    """A consumer with a live share; its password and its topic."""
    one = city.grant(broker, name, items)
    password = broker.credentials.rotate(name)
    city.relay(broker)
    broker.life.advance()
    assert one.share and broker.sharing.share(one.share.id).state == LIVE
    return password, one.share.topic


def reading(kafka: Cluster, name: str, password: str, **more: Any) -> Consumer:
    given = {
        "group.id": f"{name}.app",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": 500,
        **more,
    }
    return Consumer(as_user(kafka, name, password) | given)


def refused(error: KafkaError) -> bool:
    """Whether that is how a broker refuses; anything else is a fault of the test."""
    assert error.code() in REFUSED, error.name()
    return True


def may_read(kafka: Cluster, name: str, password: str, topic: str) -> bool:
    consumer = reading(kafka, name, password)
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        until = time.monotonic() + 10
        while time.monotonic() < until:
            found = consumer.poll(0.2)
            if found is not None:
                return found.error() is None or not refused(found.error())
            if topic not in consumer.list_topics(timeout=10).topics:
                return False  # it does not even know of it
        return False
    finally:
        consumer.close()


def may_describe(kafka: Cluster, name: str, password: str, topic: str) -> bool:
    known = AdminClient(as_user(kafka, name, password)).list_topics(topic, timeout=10).topics
    return topic in known and known[topic].error is None


def may_write(kafka: Cluster, name: str, password: str, topic: str) -> bool:
    said: list[KafkaError | None] = []
    producer = Producer(as_user(kafka, name, password) | {"message.timeout.ms": 1000})
    try:
        producer.produce(topic, b"x", b"k", 0, on_delivery=lambda error, _: said.append(error))
    except KafkaException as error:
        return not refused(error.args[0])
    producer.flush(10)
    (error,) = said
    if error is not None and error.code() == KafkaError._MSG_TIMED_OUT:
        return False  # a topic that it may not know of never turned up
    return error is None or not refused(error)


def may_join(kafka: Cluster, name: str, password: str, group: str, topic: str) -> bool:
    joined: list[bool] = []
    consumer = reading(kafka, name, password, **{"group.id": group})
    try:
        consumer.subscribe([topic], on_assign=lambda *_: joined.append(True))
        until = time.monotonic() + 15
        while time.monotonic() < until and not joined:
            found = consumer.poll(0.1)
            if found is not None and found.error() is not None and refused(found.error()):
                return False
        return bool(joined)
    finally:
        consumer.close()


def may_commit(kafka: Cluster, name: str, password: str, group: str, topic: str) -> bool:
    admin = KafkaAdminClient(**user_address(kafka, name, password).pure())
    try:
        place = PurePartition(topic, 0)
        done = admin.alter_group_offsets(group, {place: OffsetAndMetadata(0, "", -1)})
        return all(refuses is NoError for refuses in done.values())
    except GroupAuthorizationFailedError:
        return False
    finally:
        admin.close()


def test_only_what_is_granted_succeeds(kafka: Cluster, broker: Broker) -> None:
    """Every consumer, every topic and group: read, write, describe, join, commit."""
    passwords, shared = {}, {}
    for name, items in (("a", "name sex"), ("ab", "sex")):
        passwords[name], shared[name] = user(broker, name, items)
    topics = sorted(broker.log._all(fresh=True))  # type: ignore[attr-defined]
    assert {"collected.ga.resident_base", "owners.ga.resident_base", "positions.shuqiao"} <= {
        *topics
    }
    groups = ["a.app", "ab.app", "shuqiao.relay", "a", "other"]
    tried = 0
    for name, password in passwords.items():
        whose = kafka, name, password
        for topic in topics:
            own = topic == shared[name]
            assert may_describe(*whose, topic) is own, (name, topic)
            assert may_read(*whose, topic) is own, (name, topic)
            assert may_write(*whose, topic) is False, (name, topic)
            tried += 3
        for group in groups:
            own = group.startswith(f"{name}.")
            assert may_join(*whose, group, shared[name]) is own, (name, group)
            assert may_commit(*whose, group, shared[name]) is own, (name, group)
            tried += 2
        assert may_commit(*whose, f"{name}.app", "collected.ga.resident_base") is False
    assert tried >= 2 * (3 * 6 + 2 * 5), "there were topics and groups to try"
    assert set(broker.log.topics()) >= set(shared.values()), "nothing was written, nor made"


def test_a_right_is_given_when_its_share_is_live_and_gone_when_it_closes(
    kafka: Cluster, broker: Broker
) -> None:
    assert broker.cluster is not None
    one = city.grant(broker, "a", "name")
    password = broker.credentials.rotate("a")
    broker.life.advance()
    assert one.share
    assert broker.cluster.rights() == {group_right("a")}, "not while it is opening"
    city.relay(broker)
    broker.life.advance()
    mine = rights_to({("a", one.share.topic)})
    assert broker.cluster.rights() == {group_right("a")} | mine
    consumer = reading(kafka, "a", password)
    consumer.subscribe(["^shared\\.ga\\.resident_base\\..*"])
    got = 0
    while got < 5:
        found = consumer.poll(10)
        assert found is not None and found.error() is None
        got += 1
    broker.sharing.revoke(one.grant.id, "r")
    at = time.monotonic()
    assert broker.life.advance() == [one.share.id] and broker.life.unconfirmed == []
    assert time.monotonic() - at < 2
    assert broker.cluster.rights() == {group_right("a")}
    assert may_read(kafka, "a", password, one.share.topic) is False
    consumer.close()


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
@pytest.mark.parametrize("least", [1, 50_000_000])
def test_a_reader_in_the_middle_is_refused_although_the_topic_stays(
    kafka: Cluster, broker: Broker, least: int, isolation: str
) -> None:
    """Two grants use one share, and one ends: its reader has a fetch that waits at the broker,
    for a minute and for as much as it likes, and gets nothing of what is written then."""
    password, topic = user(broker, "a")
    others, same = user(broker, "b")
    assert topic == same
    patient = {
        "fetch.wait.max.ms": 60_000,
        "fetch.min.bytes": least,
        "isolation.level": isolation,
        "socket.timeout.ms": 90_000,
        "topic.metadata.refresh.interval.ms": 90_000,  # it does not look whether it may
    }
    consumer = reading(kafka, "a", password, **patient)
    ends = [broker.log.end(topic, number) for number in range(4)]
    consumer.assign([TopicPartition(topic, number, end) for number, end in enumerate(ends)])
    assert consumer.poll(2) is None  # it waits
    (given,) = [one for one in broker.sharing.grants() if one.grant.consumer.id == "a"]
    broker.sharing.revoke(given.grant.id, "r")
    at = time.monotonic()
    broker.life.advance()
    assert broker.life.unconfirmed == [] and time.monotonic() - at < 2
    county = city.county(broker.settings.state, "371502")
    city.put(county, *(city.resident(n, NOW) for n in range(20, 40)))
    city.collect(broker)
    city.relay(broker)
    assert sum(broker.log.end(topic, number) for number in range(4)) > sum(ends) + 8
    until, refused = time.monotonic() + 2, False
    while time.monotonic() < until:
        found = consumer.poll(0.05)
        if found is not None and (error := found.error()) is not None:
            refused |= error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        elif found is not None:
            assert found.value() is None, "it was written after the right had ended"
    assert refused
    consumer.close()
    assert may_read(kafka, "a", password, topic) is False
    assert may_read(kafka, "b", others, topic) is True
    assert len(dict(current(broker, broker.sharing.share(topic.rpartition(".")[2])))) == 40
    differing = broker.topics_check.differences()
    assert not differing, "the topic is set as before"


def test_another_password_lets_the_old_one_in_no_more(kafka: Cluster, broker: Broker) -> None:
    old, topic = user(broker, "a")
    assert may_read(kafka, "a", old, topic) is True
    new = broker.credentials.rotate("a")
    assert new != old and may_read(kafka, "a", new, topic) is True
    admin = AdminClient(as_user(kafka, "a", old))
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=3)


def test_a_user_that_the_city_had_before_is_never_taken_over(broker: Broker) -> None:
    assert broker.cluster is not None
    broker.cluster.put_user("admin", "the city's own")
    with pytest.raises(GrantError, match="has a user admin already"):
        broker.credentials.must_be_free("admin")
    broker.sharing.add_consumer("admin", "mz", 3, "")  # type: ignore[arg-type]
    with pytest.raises(GrantError, match="has a user admin already"):
        broker.credentials.rotate("admin")
    one = city.grant(broker, "admin", "name")
    city.relay(broker)
    broker.life.advance()
    assert one.share and broker.cluster.rights() == set(), "nor is it given a right"


def test_a_right_that_nobody_granted_is_told_and_what_reads_shares_is_taken(
    broker: Broker,
) -> None:
    assert broker.cluster is not None
    _, topic = user(broker, "a")
    strays = {
        Right("z", "read", "topic", topic),
        Right("z", "read", "topic", "shared.ga.", prefixed=True),
        Right("z", "read", "topic", "collected.", prefixed=True),
        Right("z", "read", "topic", "*"),
        Right("z", "write", "topic", topic),
        Right("a", "write", "topic", topic),
        Right("z", "read", "group", "shuqiao.relay"),
        Right("z", "read", "group", "a.", prefixed=True),
        Right("z", "alter", "cluster", "kafka-cluster"),
    }
    harmless = {
        Right("z", "read", "topic", "theirs."),
        Right("z", "read", "group", "theirs.", prefixed=True),
        Right("z", "describe", "cluster", "kafka-cluster"),
    }
    broker.cluster.give(strays | harmless)
    broker.reading.settle()
    said = broker.settings.events_path.read_text()
    assert said.count('"StrayRight"') == len(strays)
    assert '"z"' not in said
    taken = {one for one in strays if one.kind == "topic" and one.name.startswith("shared.")}
    assert strays - broker.cluster.rights() == taken and len(taken) == 4
    broker.reading.settle()
    again = broker.settings.events_path.read_text()
    assert again.count('"StrayRight"') == len(strays), "each is told once"
    found = broker.topics_check.differences()
    assert {one.found for one in found if one.kind == "right"} == {
        "read topic collected.*", "read topic *", "read group shuqiao.relay", "read group a.*",
        "alter cluster kafka-cluster",
    }  # fmt: skip
    assert broker.topics_check.apply() == []
    assert broker.cluster.rights() & (strays | harmless) == harmless


def test_what_differs_on_the_cluster_is_said_and_mended(kafka: Cluster, broker: Broker) -> None:
    assert broker.cluster is not None
    _, topic = user(broker, "a")
    assert broker.topics_check.differences() == []
    broker.cluster.set_topic("collected.ga.resident_base", {"cleanup.policy": "delete"})
    broker.cluster.take(rights_to({("a", topic)}))
    remove_user(kafka, "a")
    broker.log.create_topics({"shared.ga.resident_base.sleftover": 4})
    found = broker.topics_check.differences()
    assert sorted((one.kind, one.name, one.applied) for one in found) == [
        ("right", "a", True),
        ("right", "a", True),
        ("setting", "collected.ga.resident_base cleanup.policy", True),
        ("topic", "shared.ga.resident_base.sleftover", True),
        ("user", "a", False),
    ]
    (left,) = broker.topics_check.apply()
    assert left.kind == "user" and left.mend == "`shuqiao consumer credentials rotate a`"
    broker.credentials.rotate("a")
    assert broker.topics_check.differences() == []
    broker.log.delete_topic(topic)
    (gone,) = broker.topics_check.apply()
    assert (gone.kind, gone.name, gone.found) == ("topic", topic, "missing")


def test_an_emergency_takes_the_right_without_the_store(
    kafka: Cluster, broker: Broker, tmp_path: Path
) -> None:
    assert broker.cluster is not None
    password, topic = user(broker, "a")
    broker.controller_role().look()
    (given,) = broker.sharing.grants()
    store = tmp_path / "store.db"
    store.rename(tmp_path / "away.db")
    store.write_bytes(b"no database")
    with city.city(tmp_path) as beside:
        cut, left = beside.emergency.end(given.grant.id, "stolen laptop")
        assert cut.taken == {("a", topic)} and left == []
        assert beside.cluster and beside.cluster.rights() == {group_right("a")}
    assert may_read(kafka, "a", password, topic) is False
    (tmp_path / "away.db").replace(store)
    broker.reading.settle()
    assert broker.cluster.rights() == {group_right("a")}, "nobody gives it back"
    with city.city(tmp_path) as after:
        after.controller_role().look()
        (ended,) = after.sharing.grants()
        assert (ended.state, ended.reason) == ("TERMINATED", "stolen laptop")
        assert topic not in after.log.topics() and not after.emergency.pending()


def test_a_right_that_is_over_is_taken_while_the_store_is_away(
    broker: Broker, tmp_path: Path
) -> None:
    assert broker.cluster is not None
    today = broker.today
    _, topic = user(broker, "b")
    one = city.grant(broker, "a", "name sex", valid_until=str(today))
    broker.credentials.rotate("a")
    city.relay(broker)
    broker.controller_role().look()
    assert one.share and one.share.topic == topic
    assert rights_to({("a", topic), ("b", topic)}) <= broker.cluster.rights()
    assert broker.emergency.end_overdue(today + timedelta(days=1)) == []
    assert rights_to({("a", topic)}).isdisjoint(broker.cluster.rights())
    assert rights_to({("b", topic)}) <= broker.cluster.rights(), "his own grant goes on"


def test_a_broker_that_does_not_confirm_is_named_and_the_share_is_not_closed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert broker.cluster is not None
    _, topic = user(broker, "a")
    monkeypatch.setattr("broker.sharing.reading.PATIENCE", 0.1)
    monkeypatch.setattr(broker.cluster, "_holds", lambda *_: True)
    (given,) = broker.sharing.grants()
    broker.sharing.revoke(given.grant.id, "r")
    assert broker.life.advance() == [] and broker.life.unconfirmed == ["broker 1"]
    assert broker.life.closing() and topic not in broker.log.topics()
    assert '"RightUnconfirmed"' in broker.settings.events_path.read_text()
    monkeypatch.undo()
    assert broker.life.advance(fresh=False) == [topic.rpartition(".")[2]]


def test_where_the_policy_cannot_be_loaded_only_what_ended_is_taken(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from broker.errors import PolicyError

    assert broker.cluster is not None
    _, kept = user(broker, "a", "name")
    user(broker, "b", "sex")

    def unreadable(*_: object) -> None:
        raise PolicyError("it does not load")

    monkeypatch.setattr(broker.sharing._versions, "active", unreadable)
    monkeypatch.setattr(broker.sharing._versions, "active_in", unreadable)
    (over,) = [one for one in broker.sharing.grants() if one.grant.consumer.id == "b"]
    broker.sharing.revoke(over.grant.id, "r")
    broker.reading.settle()
    assert {one.name for one in broker.cluster.rights() if one.kind == "topic"} == {kept}


def test_doctor_says_how_the_cluster_stands(broker: Broker) -> None:
    assert broker.cluster is not None
    user(broker, "a")
    found = {one.check: one for one in examine(broker)}
    assert found["log"].well and "as shuqiao" in found["log"].found
    assert found["cluster"].well and found["keyring"].found == "belongs to this log"
    broker.cluster.give({Right("z", "read", "topic", "*")})
    found = {one.check: one for one in examine(broker)}
    assert not found["cluster"].well and "topics check" in found["cluster"].mend


def test_without_a_cluster_there_is_no_password(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        city.grant(broker, "a", "name")
        with pytest.raises(SettingsError, match="not a Kafka cluster"):
            broker.credentials.rotate("a")
        with pytest.raises(SettingsError, match="not a Kafka cluster"):
            assert broker.topics_check
