"""Processes on a real Apache Kafka: several workers, killed, stopped, cut off from the broker."""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.sharing.share import LIVE
from broker.store.tables import lease
from tests import city, recompute
from tests.faults.test_processes import DATASET, NOW, ended, people, process, state, until
from tests.faults.test_role_kills import has_stopped, role

On = Callable[[str], None]
PEOPLE = 60


@pytest.fixture(autouse=True)
def there(on_kafka: On) -> None:
    on_kafka("librdkafka")


def exact(broker: Broker) -> bool:
    """Every share is what it must be."""
    found = compare_all(broker)
    return bool(found) and all(one.exact for one in found)


def changed(folder: Path, minutes: int, numbers: range, name: str) -> None:
    """Residents get another name at the source."""
    later = (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")
    path = city.county(folder, "371502")
    city.put(path, *(city.resident(n, NOW, xm=name, gxsj=later) for n in numbers))


def names(broker: Broker, one: "city.Outcome") -> set[str]:
    """The names that a share shows."""
    return {record["name"] for record in city.shown(broker, one).values()}


def test_up_on_kafka(tmp_path: Path) -> None:
    people(tmp_path, 30)
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name")
        with process(tmp_path, "up") as up:
            until(lambda: state(broker, one.grant.id) == LIVE, 30)
            until(lambda: len(city.shown(broker, one)) == 30, 30)
            changed(tmp_path, 1, range(1, 2), "新")
            until(lambda: "新" in names(broker, one))
            broker.sharing.revoke(one.grant.id, "r")
            assert one.share
            topic = one.share.topic
            assert until(lambda: topic not in broker.log.topics()) < 2
            up.terminate()
            assert ended(up, 15) == 0


def test_of_two_workers_one_is_killed(tmp_path: Path) -> None:
    """Both have a part of the work; within 15 seconds the other has all of it."""
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one = city.grant(broker, "a", "name")
        broker.life.provision()
        with (
            process(tmp_path, "relay", "--follow") as first,
            process(tmp_path, "relay", "--follow") as second,
        ):
            until(lambda: len(recompute.held(broker, one)) == PEOPLE, 30)
            for turn in range(1, 4):
                changed(tmp_path, turn, range(PEOPLE), f"改{turn}")
                city.collect(broker, limit=7)
            first.kill()
            changed(tmp_path, 9, range(PEOPLE), "最后")
            city.collect(broker, limit=1_000)
            assert until(lambda: names(broker, one) == {"最后"}, 30) < 15
            assert exact(broker) and second.poll() is None


@pytest.mark.parametrize("step", ["read", "append", "commit"])
def test_a_worker_is_killed_at_a_step(tmp_path: Path, step: str) -> None:
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one = city.grant(broker, "a", "name")
        broker.life.provision()
        with role(tmp_path, "relay", step, 3) as running:
            until(lambda: has_stopped(running), 30)
            running.kill()
            running.wait(10)
        started = time.monotonic()
        city.relay(broker)
        assert time.monotonic() - started < 15
        assert len(recompute.held(broker, one)) == PEOPLE and exact(broker)


@pytest.mark.parametrize(("step", "seconds"), [("read", 5), ("append", 9)])
def test_a_stopped_worker_lands_nothing_of_a_closed_share(
    tmp_path: Path, step: str, seconds: int
) -> None:
    """It is stopped between its check and its commit, for less and for more than its session,
    while the grant is revoked; then it goes on."""
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        assert one.share
        broker.life.provision()
        with role(tmp_path, "relay", step, 3) as running:
            until(lambda: has_stopped(running), 30)
            broker.sharing.revoke(one.grant.id, "r")
            broker.life.advance()
            assert one.share.topic not in broker.log.topics()
            time.sleep(seconds)
            os.kill(running.pid, signal.SIGCONT)
            until(lambda: len(recompute.held(broker, other)) == PEOPLE, 40)
            assert one.share.topic not in broker.log.topics()
            assert running.poll() is None
        assert exact(broker)


def test_of_two_runners_one_reads_and_the_other_takes_over(tmp_path: Path) -> None:
    """On whatever machine: the store is what they share. Within ten seconds of a kill."""
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:

        def holder() -> str:
            query = select(lease.c.holder).where(lease.c.name == f"connect.{DATASET}")
            with broker.store.reading() as connection:
                return connection.execute(query).scalar() or ""

        def collected(name: str) -> bool:
            return any(one["name"] == name for one in recompute.collected(broker, DATASET))

        words = "connect", "run", "--follow"
        with process(tmp_path, *words) as first:
            until(lambda: collected("张试1"), 30)
            at_first = holder()
            with process(tmp_path, *words):
                changed(tmp_path, 1, range(20), "一改")
                until(lambda: collected("一改"), 30)
                time.sleep(8)
                assert holder() == at_first, "who lives keeps it"
                first.kill()
                assert until(lambda: holder() != at_first, 20) < 10
                changed(tmp_path, 2, range(20), "二改")
                until(lambda: collected("二改"), 30)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert len(recompute.held(broker, one)) == PEOPLE and exact(broker)


def test_a_runner_that_is_killed_is_taken_over(tmp_path: Path) -> None:
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        with role(tmp_path, "connect", "append", 3) as running:
            until(lambda: has_stopped(running), 30)
            started = time.monotonic()
            city.collect(broker, limit=10)
            assert time.monotonic() - started < 10
            os.kill(running.pid, signal.SIGCONT)
            time.sleep(1)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert len(recompute.held(broker, one)) == PEOPLE and exact(broker)
