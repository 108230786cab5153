"""Rights on a cluster follow sharing: when they are given, taken, confirmed, told."""

import threading
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.errors import GrantError, LogError, PolicyError
from broker.log.cluster import Right
from broker.sharing.rights import group_right, rights_to
from broker.sharing.share import CLOSED, CLOSING, LIVE
from tests import city
from tests.cluster import Remembers

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)


@pytest.fixture
def cluster() -> Remembers:
    return Remembers()


@pytest.fixture
def broker(tmp_path: Path, cluster: Remembers) -> Iterator[Broker]:
    city.use_mapping(tmp_path)
    city.put(city.county(tmp_path, "371502"), *(city.resident(n, NOW) for n in range(5)))
    with city.city(tmp_path) as broker:
        broker.__dict__["cluster"] = cluster
        city.collect(broker)
        yield broker


def given(broker: Broker, name: str, items: str = "name") -> tuple[str, str]:
    """A consumer with a user and a live share; its grant and its topic."""
    one = city.grant(broker, name, items)
    broker.credentials.rotate(name)
    city.relay(broker)
    assert one.share and broker.sharing.share(one.share.id).state == LIVE
    return one.grant.id, one.share.topic


def test_a_right_is_given_with_life_and_taken_before_the_topic_goes(
    broker: Broker, cluster: Remembers
) -> None:
    one = city.grant(broker, "a", "name")
    broker.credentials.rotate("a")
    broker.life.advance()
    assert cluster.held == {group_right("a")}
    city.relay(broker)
    assert one.share
    assert cluster.held == {group_right("a")} | rights_to({("a", one.share.topic)})
    there: list[bool] = []
    take = cluster.take
    topic = one.share.topic

    def taken(rights: set[Right]) -> None:
        there.append(topic in broker.log.topics())
        take(rights)

    cluster.take = taken  # type: ignore[method-assign,assignment]
    broker.sharing.revoke(one.grant.id, "r")
    broker.life.advance()
    assert there[0] is True and topic not in broker.log.topics()
    assert cluster.held == {group_right("a")}


def test_what_ends_is_taken_before_anything_is_given(broker: Broker, cluster: Remembers) -> None:
    first, _ = given(broker, "a")
    one = city.grant(broker, "b", "sex")
    broker.credentials.rotate("b")
    assert one.share
    broker.sharing.revoke(first, "r")
    cluster.calls.clear()
    city.relay(broker)
    assert cluster.calls.index("take") < cluster.calls.index("give")


def test_who_has_no_user_of_ours_gets_no_right(broker: Broker, cluster: Remembers) -> None:
    cluster.passwords["a"] = "the city's own"
    one = city.grant(broker, "a", "name")
    city.relay(broker)
    assert one.share and cluster.held == set()
    with pytest.raises(GrantError, match="already"):
        broker.credentials.rotate("a")
    assert cluster.passwords == {"a": "the city's own"}


def test_a_share_is_closed_once_every_broker_confirms(
    broker: Broker, cluster: Remembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.sharing.reading.PATIENCE", 0.05)
    grant, topic = given(broker, "a")
    share = topic.rpartition(".")[2]
    cluster.deaf = ["broker 2"]
    broker.sharing.revoke(grant, "r")
    assert broker.life.advance(fresh=False) == []
    assert broker.life.unconfirmed == ["broker 2"]
    assert broker.sharing.share(share).state == CLOSING and topic not in broker.log.topics()
    with city.city(broker.settings.state) as other:  # another process asks again
        other.__dict__["cluster"] = cluster
        assert other.life.advance() == [] and other.life.unconfirmed == ["broker 2"]
        cluster.deaf = []
        assert other.life.advance(fresh=False) == [share]
        assert other.sharing.share(share).state == CLOSED


def test_nobody_gives_back_what_an_emergency_took(broker: Broker, cluster: Remembers) -> None:
    grant, topic = given(broker, "a")
    _, other = given(broker, "b", "sex")
    with pytest.raises(GrantError, match="knows no grant"):
        broker.emergency.end(grant, "r")
    broker.controller_role().look()
    with pytest.raises(GrantError, match="reason"):
        broker.emergency.end(grant, " ")
    for _ in range(2):  # ordered twice
        broker.emergency.end(grant, "r")
    assert cluster.held == {group_right("a"), group_right("b")} | rights_to({("b", other)})
    cluster.calls.clear()
    broker.reading.settle()
    assert rights_to({("a", topic)}).isdisjoint(cluster.held) and "give" not in cluster.calls
    broker.controller_role().look()
    assert broker.sharing.grant(grant).state == "TERMINATED"
    assert not broker.emergency.pending() and topic not in broker.log.topics()


def test_the_last_day_takes_a_right_without_the_store(broker: Broker, cluster: Remembers) -> None:
    one = city.grant(broker, "a", "name", valid_until=str(broker.today))
    broker.credentials.rotate("a")
    _, topic = given(broker, "b")
    broker.controller_role().look()
    tomorrow = broker.today + timedelta(days=1)
    assert one.share and one.share.topic == topic
    assert broker.emergency.end_overdue(tomorrow) == []
    assert cluster.held == {group_right("a"), group_right("b")} | rights_to({("b", topic)})


def test_a_policy_that_cannot_be_loaded_gives_nothing_and_keeps_what_stands(
    broker: Broker, cluster: Remembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stays = given(broker, "a")
    ends, _ = given(broker, "b", "sex")
    _, lost = given(broker, "c", "birth_date")
    cluster.take(rights_to({("c", lost)}))

    def unreadable(*_: object) -> None:
        raise PolicyError("it does not load")

    for name in ("active", "active_in"):
        monkeypatch.setattr(broker.sharing._versions, name, unreadable)
    broker.sharing.revoke(ends, "r")
    broker.reading.settle()
    assert {one.name for one in cluster.held if one.kind == "topic"} == {stays}


STRAYS = [
    (Right("z", "read", "topic", "shared.ga.x.s1"), True),
    (Right("z", "read", "topic", "shared.", prefixed=True), True),
    (Right("z", "read", "topic", "sha", prefixed=True), False),
    (Right("z", "read", "topic", "*"), False),
    (Right("z", "read", "topic", "collected.ga.x"), False),
    (Right("z", "read", "topic", "membership.ga.x"), False),
    (Right("z", "read", "group", "shuqiao.relay"), False),
    (Right("z", "read", "group", "a.app"), False),
    (Right("z", "write", "transactional_id", "shuqiao.", prefixed=True), False),
    (Right("z", "alter", "cluster", "kafka-cluster"), False),
    (Right("a", "write", "topic", "theirs"), False),
]


@pytest.mark.parametrize(("stray", "taken"), STRAYS)
def test_what_nobody_granted_is_told_once(
    broker: Broker, cluster: Remembers, stray: Right, taken: bool
) -> None:
    given(broker, "a")
    cluster.give([stray])
    for _ in range(2):
        broker.reading.settle()
    said = broker.settings.events_path.read_text()
    assert said.count('"StrayRight"') == 1 and f'"taken": {str(taken).lower()}' in said
    assert (stray not in cluster.held) is taken


@pytest.mark.parametrize(
    "theirs",
    [
        Right("z", "read", "topic", "theirs"),
        Right("z", "read", "topic", "shape", prefixed=True),
        Right("z", "read", "group", "b.", prefixed=True),
        Right("z", "describe", "cluster", "kafka-cluster"),
    ],
)
def test_what_is_not_about_ours_is_left_alone(
    broker: Broker, cluster: Remembers, theirs: Right
) -> None:
    given(broker, "a")
    cluster.give([theirs])
    broker.reading.settle()
    assert '"StrayRight"' not in broker.settings.events_path.read_text()
    assert theirs in cluster.held


def test_what_waits_is_answered_before_an_end_is_confirmed(
    broker: Broker, cluster: Remembers
) -> None:
    """Once every broker refuses; where it fails, or the process is killed before, whoever looks
    next goes on."""
    grant, topic = given(broker, "a")
    given(broker, "b")
    cluster.busy = True
    broker.sharing.revoke(grant, "r")
    cluster.deaf = ["broker 2"]
    assert broker.reading.settle() == ["broker 2"] and cluster.answered == []
    cluster.deaf = []
    assert broker.reading.settle() == [topic]
    with city.city(broker.settings.state) as other:  # another process goes on
        other.__dict__["cluster"] = cluster
        assert other.reading.settle(fresh=False) == [topic]
        cluster.busy = False
        assert other.reading.settle(fresh=False) == []
        assert set(cluster.answered) == {topic}
        cluster.answered.clear()
        assert other.reading.settle() == [] and cluster.answered == []


def test_a_right_is_taken_although_the_log_cannot_be_written(
    broker: Broker, cluster: Remembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it wait long for the log; what waits is answered all the same."""
    grant, topic = given(broker, "a")
    given(broker, "b")
    again, on = threading.Event(), time.monotonic()
    taken: list[float] = []
    take = cluster.take

    def away(*_: object) -> None:
        again.wait(20)
        raise LogError("away")

    def noticed(rights: Collection[Right]) -> None:
        taken.extend([time.monotonic() - on] * bool(rights))
        take(rights)

    broker.sharing.revoke(grant, "r")
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(broker.log, "commit", away)
        meanwhile.setattr(cluster, "take", noticed)
        threading.Timer(4, again.set).start()
        assert broker.reading.settle() == []
    assert taken[0] < 3 and cluster.answered == [topic]
    assert rights_to({("a", topic)}).isdisjoint(cluster.held)


@pytest.mark.parametrize("where", ["take", "give", "unconfirmed", "answer_fetches"])
def test_whoever_is_killed_while_a_right_ends_leaves_all_of_it_to_the_next(
    broker: Broker, cluster: Remembers, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Nothing is answered before every broker refuses, and nothing stays unanswered."""
    grant, topic = given(broker, "a")
    given(broker, "b")
    given(broker, "c", "sex")
    cluster.held = {one for one in cluster.held if one.user != "c"}  # something is to be given
    done = getattr(cluster, where)

    def killed(rights: Collection[Right]) -> None:
        if where != "answer_fetches":
            done(rights)
        raise KeyboardInterrupt

    broker.sharing.revoke(grant, "r")
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(cluster, where, killed)
        with pytest.raises(KeyboardInterrupt):
            broker.reading.settle()
    assert cluster.answered == []
    with city.city(broker.settings.state) as other:
        other.__dict__["cluster"] = cluster
        cluster.deaf = ["broker 2"]
        assert other.reading.settle() == ["broker 2"] and cluster.answered == []
        cluster.deaf = []
        assert other.reading.settle() == [] and cluster.answered == [topic]
        assert rights_to({("a", topic)}).isdisjoint(cluster.held)
        assert other.reading.settle() == [] and cluster.answered == [topic]


def test_what_ends_while_somebody_else_looks_is_not_given_back(
    broker: Broker, cluster: Remembers
) -> None:
    """It was confirmed to have ended: nobody who had seen it in force may give it after that."""
    grant, topic = given(broker, "a")
    right = rights_to({("a", topic)})
    cluster.held -= right
    with city.city(broker.settings.state) as other:
        other.__dict__["cluster"] = cluster
        wanted = other.reading.wanted
        turns = iter([True])

        def slow() -> set[Right]:
            found = wanted()
            if next(turns, False):
                assert right <= found
                broker.sharing.revoke(grant, "r")
                assert broker.reading.settle() == []
            return found

        other.reading.wanted = slow  # type: ignore[method-assign]
        other.reading.settle()
    assert right.isdisjoint(cluster.held)


def test_an_emergency_while_somebody_else_gives_is_not_undone(
    broker: Broker, cluster: Remembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant, topic = given(broker, "a")
    right = rights_to({("a", topic)})
    broker.controller_role().look()
    cluster.held -= right
    give = cluster.give

    def slow(rights: Collection[Right]) -> None:
        if right <= set(rights):
            broker.emergency.end(grant, "stolen")
        give(rights)

    with city.city(broker.settings.state) as other, monkeypatch.context() as meanwhile:
        other.__dict__["cluster"] = cluster
        meanwhile.setattr(cluster, "give", slow)
        other.reading.settle()
    assert right.isdisjoint(cluster.held)


def test_a_note_that_comes_while_another_is_answered_stays(
    broker: Broker, cluster: Remembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same topic: its right is taken after the answer."""
    grant, topic = given(broker, "a")
    given(broker, "b")
    broker.sharing.revoke(grant, "r")
    answer = cluster.answer_fetches
    with city.city(broker.settings.state) as other:
        other.__dict__["cluster"] = cluster

        def meanwhile(topics: Collection[str]) -> list[str]:
            other.reading._unanswered.note(rights_to({("b", topic)}))
            return answer(topics)

        monkeypatch.setattr(cluster, "answer_fetches", meanwhile)
        assert broker.reading.settle() == []
        monkeypatch.undo()
        noted = other.reading._unanswered.noted()
        assert noted is not None and topic in noted and "b" in noted[topic].users


def test_where_the_topic_goes_nothing_has_to_be_answered(
    broker: Broker, cluster: Remembers
) -> None:
    grant, _ = given(broker, "a")
    broker.sharing.revoke(grant, "r")
    broker.life.advance()
    assert cluster.answered == []


def test_what_waits_is_answered_without_the_store(broker: Broker, cluster: Remembers) -> None:
    """By order, and by the last day; once, however often it is looked at."""
    grant, topic = given(broker, "a")
    given(broker, "b")
    city.grant(broker, "c", "name", valid_until=str(broker.today))
    broker.credentials.rotate("c")
    broker.controller_role().look()
    broker.emergency.end(grant, "r")
    assert cluster.answered == [topic]
    for _ in range(2):
        broker.emergency.end_overdue(broker.today + timedelta(days=1))
    assert cluster.answered == [topic, topic]


def test_an_ordinary_end_is_no_stray_right(broker: Broker, cluster: Remembers) -> None:
    grant, _ = given(broker, "a")
    broker.sharing.revoke(grant, "r")
    broker.life.advance()
    assert '"StrayRight"' not in broker.settings.events_path.read_text()
