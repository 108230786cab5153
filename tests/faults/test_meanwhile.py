"""Policy, grants and shares that change while a share is opening, or is read."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.cli.share import current
from broker.errors import GrantError, KeyringError, UnknownTopic
from broker.log.interface import Batch
from broker.sharing.service import Outcome
from broker.sharing.share import CLOSED, CLOSING, OPENING
from tests import city, recompute
from tests.faults.test_role_kills import marked
from tests.serving import live, served
from tests.unit.test_life import DATASET, apply, limit, people

MARK = "张" + secrets.token_hex(8)


def narrow(broker: Broker, one: Outcome) -> None:
    apply(broker, limit("name", "surname"))


def widen(broker: Broker, one: Outcome) -> None:
    apply(broker, "rules: []\n")


def revoke(broker: Broker, one: Outcome) -> None:
    broker.sharing.revoke(one.grant.id, "r")


def between_batches(broker: Broker, change: Callable[[], None]) -> None:
    """Half of the partitions are caught up, one is in the middle."""
    dataset = broker.catalog.dataset(DATASET)
    for part in (0, 0, 0, 0, 1):
        broker.relay.step(dataset, part, lambda: broker.sharing.shares(DATASET))
    change()


def between_reading_and_committing(broker: Broker, change: Callable[[], None]) -> None:
    """The third batch was made for the share as it was."""
    in_the_third_batch(broker, change, (0, 0, 0, 0))


def before_a_partition_begins(broker: Broker, change: Callable[[], None]) -> None:
    """The same where nothing else of its partition has landed: no place of the share's that
    has moved, the topic alone says that it is closed."""
    in_the_third_batch(broker, change, (0, 0, 1, 1))


def in_the_third_batch(
    broker: Broker, change: Callable[[], None], partitions: tuple[int, ...]
) -> None:
    commit, batches = broker.log.commit, list[int]()

    def late(batch: Batch) -> None:
        if batch.records():
            batches.append(batch.records())
            if len(batches) == 3:
                change()
        commit(batch)

    broker.log.commit = late  # type: ignore[method-assign]
    dataset = broker.catalog.dataset(DATASET)
    for part in partitions:
        broker.relay.step(dataset, part, lambda: broker.sharing.shares(DATASET))
    assert len(batches) >= 3
    broker.log.commit = commit  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "when", [between_batches, between_reading_and_committing, before_a_partition_begins]
)
@pytest.mark.parametrize("what", [narrow, widen, revoke])
def test_while_a_share_is_opening(
    tmp_path: Path,
    what: Callable[[Broker, Outcome], None],
    when: Callable[[Broker, Callable[[], None]], None],
) -> None:
    people(tmp_path, 60, xm=MARK)
    with city.city(tmp_path, relay_batch=3) as broker:
        city.collect(broker, limit=1_000)
        stays = city.grant(broker, "stays", "sex division_code")
        city.relay(broker)
        if what is widen:
            apply(broker, limit("name", "surname"))
        one = city.grant(broker, "a", "name")
        assert one.share and one.share.state == OPENING
        broker.life.provision()

        def change() -> None:
            what(broker, one)
            broker.life.advance()

        when(broker, change)
        assert one.share.topic not in broker.log.topics()
        assert broker.sharing.share(one.share.id).state == CLOSED
        with pytest.raises(GrantError):
            broker.sharing.readable(one.share.id, "a")
        with pytest.raises(KeyringError):
            broker.keyring.key(f"share.{one.share.id}")
        city.relay(broker)
        (after,) = (found for found in broker.sharing.settle() if found.grant.id == one.grant.id)
        if what is revoke:
            assert after.share is None
        else:
            assert after.share and after.share.id != one.share.id and after.opening is None
            assert recompute.held(broker, after) == recompute.wanted(broker, after) != {}
            ends = [broker.log.end(after.share.topic, part) for part in range(4)]
            assert sum(ends) == 60, "nothing twice"
        assert bool(marked(tmp_path, MARK)) == (what is widen), "what is withheld now is gone"
        assert recompute.held(broker, stays) == recompute.wanted(broker, stays) != {}
        assert all(found.exact for found in compare_all(broker))
        assert {name for name in broker.log.topics() if name.startswith("shared.")} == {
            share.topic for share in broker.sharing.shares()
        }


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[Broker, Outcome]]:
    """A city of twenty, and a grant whose share is live."""
    people(tmp_path, 20, xm=MARK)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        yield broker, one


def test_a_share_closed_while_it_is_read_from_the_log(
    shared: tuple[Broker, Outcome], tmp_path: Path
) -> None:
    """Its reader is told; what he reads never ends as if it were whole."""
    broker, one = shared
    assert one.share
    reading = current(broker, one.share)
    next(reading)
    broker.sharing.revoke(one.grant.id, "r")
    assert broker.life.advance() == [one.share.id]
    with pytest.raises(UnknownTopic):
        list(reading)
    assert marked(tmp_path, MARK) == []


def test_a_share_is_not_called_closed_while_an_older_state_is_read(
    shared: tuple[Broker, Outcome], tmp_path: Path
) -> None:
    broker, one = shared
    assert one.share
    other = sqlite3.connect(tmp_path / "log.db")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM record").fetchone()
    broker.sharing.revoke(one.grant.id, "r")
    assert broker.life.advance() == []
    assert broker.sharing.share(one.share.id).state == CLOSING
    with pytest.raises(GrantError, match="no right"):
        broker.sharing.readable(one.share.id, "a")
    assert one.share.topic not in broker.log.topics()
    other.close()
    assert broker.life.advance() == [one.share.id]
    assert marked(tmp_path, MARK) == []


def test_a_share_closed_while_it_is_read_over_http(tmp_path: Path) -> None:
    with served(tmp_path, 40) as web:
        one, stays = live(web.broker, "a"), live(web.broker, "b", "sex")
        assert one.share
        client, other = web.client("a"), web.client("b")
        records = f"/v1/datasets/{DATASET}/records"
        first = client.get(records, params={"limit": 10}).json()
        assert len(first["records"]) == 10
        with client.stream("GET", f"/v1/datasets/{DATASET}/events") as events:
            lines = events.iter_lines()
            assert next(lines)
            web.broker.sharing.revoke(one.grant.id, "r")
            assert web.broker.life.advance() == [one.share.id]
            with pytest.raises(httpx2.RemoteProtocolError):
                list(lines)
        answer = client.get(records, params={"cursor": first["cursor"]})
        assert answer.status_code in (403, 410) and "records" not in answer.json()
        assert client.get(f"/v1/shares/{one.share.id}/records").status_code == 410
        assert len(other.get(records).json()["records"]) == 40
        assert recompute.held(web.broker, stays) == recompute.wanted(web.broker, stays)
