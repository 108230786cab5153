"""Leases, holds, roles, the controller: what goes on by itself, and who does it."""

import os
import threading
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from broker.errors import StoreError
from broker.hold import Hold
from broker.roles import run_roles
from broker.sharing.share import CLOSED, LIVE
from broker.store.engine import open_store
from broker.store.kept_lease import BEAT, KeptLease
from broker.store.kept_lease import PATIENCE as PATIENCE_OF_KEPT
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


def test_a_kept_lease_is_one_process_s_while_that_lives(tmp_path: Path) -> None:
    """However long its work takes; who stands by has it soon after it is freed, or after the
    holder's beats have stopped."""
    store = open_store(f"sqlite:///{tmp_path / 's.db'}")
    quick = {"beat": 0.05, "patience": 0.5}
    one, other = KeptLease(store, "x", **quick), KeptLease(store, "x", **quick)
    assert one.taken() and not other.taken()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert one._ours and not other.taken(), "it is kept although nobody asks"
        time.sleep(0.01)
    one._over.set()  # killed: nothing is freed
    assert city.until(other.taken, 5) < 2
    other.release()
    third = KeptLease(store, "x", **quick)
    assert third.taken()
    third.release()
    KeptLease(store, "x").release()  # never asked for
    assert PATIENCE_OF_KEPT + 2 * BEAT < 10, "taken over within ten seconds"


def test_a_kept_lease_is_nobody_s_while_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 's.db'}")
    lease = KeptLease(store, "x", beat=0.02, patience=0.5)
    assert lease.taken()

    def away(self: Lease) -> bool:
        raise StoreError("away")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Lease, "held", away)
        city.until(lambda: not lease.taken(), 5)
    city.until(lease.taken, 5)
    lease.release()


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
