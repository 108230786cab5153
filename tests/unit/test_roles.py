"""Leases, holds, roles, the controller: what goes on by itself, and who does it."""

import os
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest

from broker.errors import StoreError
from broker.hold import Hold
from broker.roles import run_roles
from broker.sharing.share import CLOSED, LIVE
from broker.store.engine import open_store
from broker.store.lease import PATIENCE, Lease
from broker.telemetry import Event, RoleFailed
from tests import city
from tests.unit.test_life import people


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_is_taken_over_when_its_beat_has_stopped(tmp_path: Path) -> None:
    store, clock = open_store(f"sqlite:///{tmp_path / 's.db'}"), Clock()
    one, other = Lease(store, "x", clock), Lease(store, "x", clock)
    assert one.held() and not other.held()
    for _ in range(8):
        clock.now += PATIENCE / 2
        assert one.held() and not other.held(), "a beat is seen, whatever the clock says"
    clock.now += PATIENCE / 2
    assert not other.held()
    clock.now += PATIENCE
    assert other.held() and not one.held(), "who slept has lost it"
    other.give_up()
    assert one.held()
    assert PATIENCE <= 1.5, "taken over within two seconds"


def test_a_hold_ends_with_whoever_has_it(tmp_path: Path) -> None:
    one, other = Hold(tmp_path / "h", "a"), Hold(tmp_path / "h", "a")
    assert one.taken() and one.taken() and not other.taken()
    assert Hold(tmp_path / "h", "b").taken()
    assert other.last() == os.getpid() and Hold(tmp_path / "h", "nobody").last() == 0
    one.release()
    assert other.taken() and not one.taken()


class Failing:
    """A role that fails twice, and then works until it is stopped."""

    name = "failing"

    def __init__(self) -> None:
        self.runs = 0
        self.closed = False

    def run(self, stop: threading.Event) -> None:
        self.runs += 1
        if self.runs == 1:
            raise StoreError("away", mend="wait")
        if self.runs == 2:
            raise ZeroDivisionError("990000198001160010")
        stop.set()

    def close(self) -> None:
        self.closed = True


def test_a_role_that_fails_says_so_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.roles._FIRST_PAUSE", 0.01)
    role, events, said = Failing(), list[Event](), list[str]()
    run_roles([role], threading.Event(), events.append, lambda name, words: said.append(words))
    failed = [one.error for one in events if isinstance(one, RoleFailed)]
    assert failed == ["StoreError", "ZeroDivisionError"] and role.runs == 3 and role.closed
    assert "wait" in said[0] and "990000" not in "".join(said)


def test_what_has_ended_is_closed_by_itself(tmp_path: Path) -> None:
    people(tmp_path)
    today = date(2026, 6, 1)
    with city.city(tmp_path, today) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name", valid_until=str(today))
        other = city.grant(broker, "b", "sex")
        done = broker.controller_role().look()
        city.relay(broker)
        assert broker.controller_role().look(done)
        assert one.share and broker.sharing.share(one.share.id).state == LIVE
    with city.city(tmp_path, today + timedelta(days=1)) as broker:
        broker.controller_role().look(done)
        assert broker.sharing.share(one.share.id).state == CLOSED
        assert one.share.topic not in broker.log.topics()
        assert other.share and broker.sharing.share(other.share.id).state == LIVE


def test_what_has_ended_is_closed_while_the_store_is_away(tmp_path: Path) -> None:
    people(tmp_path)
    today = date(2026, 6, 1)
    with city.city(tmp_path, today) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name", valid_until=str(today))
        other = city.grant(broker, "b", "sex")
        city.relay(broker)
        broker.controller_role().look()
        emergency = broker.emergency
        assert emergency.end_overdue(broker.today) == []
    os.rename(tmp_path / "store.db", tmp_path / "away.db")
    (tmp_path / "store.db").write_bytes(b"no database")
    with city.city(tmp_path, today + timedelta(days=1)) as broker:
        assert one.share and other.share
        with pytest.raises(StoreError):
            broker.sharing.settle()
        emergency._log = broker.log
        assert emergency.end_overdue(broker.today) == [one.share.topic]
        assert one.share.topic not in broker.log.topics()
        assert other.share.topic in broker.log.topics()
    os.replace(tmp_path / "away.db", tmp_path / "store.db")
    with city.city(tmp_path, today + timedelta(days=1)) as broker:
        broker.controller_role().look()
        assert broker.sharing.share(one.share.id).state == CLOSED
