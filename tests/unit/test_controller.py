"""The controller: who works, what it does without the store, what it compacts."""

import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from broker import controller as module
from broker.bootstrap import Broker
from broker.controller import Controller
from broker.errors import StoreError
from broker.sharing.share import LIVE
from broker.telemetry import Event, StoreAway
from tests import city

NOW = datetime.now() - timedelta(days=1)
TODAY = date(2026, 6, 1)
DATASET = "ga.resident_base"


class Lease:
    """A lease that somebody else has, or that cannot be asked for; ends the role after that."""

    def __init__(self, stop: threading.Event, away: bool = False) -> None:
        self._stop = stop
        self._away = away

    def held(self) -> bool:
        self._stop.set()
        if self._away:
            raise StoreError("away")
        return False


def expired(folder: Path) -> Iterator[tuple[Broker, str]]:
    """A city on the day after a grant's last; its share's topic is still there."""
    city.fill(folder, range(3), NOW)
    with city.city(folder, TODAY) as broker:
        city.collect(broker)
        share = city.grant(broker, "a", "name", valid_until=str(TODAY)).share
        city.relay(broker)
        broker.controller_role().look()
        assert share and broker.sharing.share(share.id).state == LIVE
    with city.city(folder, TODAY + timedelta(days=1)) as broker:
        assert share.topic in broker.log.topics()
        yield broker, share.topic


def run(controller: Controller, away: bool, events: list[Event]) -> None:
    stop = threading.Event()
    controller._lease = Lease(stop, away)  # type: ignore[assignment]
    controller._emit = events.append
    controller.run(stop)


def test_who_does_not_have_the_lease_does_nothing(tmp_path: Path) -> None:
    for broker, topic in expired(tmp_path):
        events: list[Event] = []
        run(broker.controller_role(), False, events)
        assert topic in broker.log.topics() and events == []


def test_a_turn_without_the_store_closes_what_has_ended(tmp_path: Path) -> None:
    for broker, topic in expired(tmp_path):
        events: list[Event] = []
        with pytest.raises(StoreError):
            run(broker.controller_role(), True, events)
        assert topic not in broker.log.topics() and events == [StoreAway(closed=1)]


def versions(broker: Broker, topic: str) -> list[bytes | None]:
    """Every value that stands in a topic."""
    parts = range(broker.log.topics()[topic])
    return [one.value for part in parts for one in broker.log.read(topic, part, 0, 100)]


def test_a_collected_record_stays_until_it_was_relayed(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        topic = broker.catalog.dataset(DATASET).collected_topic
        for turn in range(4):
            if turn == 2:
                city.relay(broker)  # the first two versions, no later one
            later = (NOW + timedelta(minutes=turn)).strftime("%Y-%m-%d %H:%M:%S")
            city.fill(tmp_path, range(3), NOW, xm=f"改{turn}", gxsj=later)
            city.collect(broker)
            if turn == 0:
                city.grant(broker, "a", "name")
        assert len(versions(broker, topic)) == 12
        assert broker.controller_role().compact() == 3, "what was superseded before the relay"
        assert len(versions(broker, topic)) == 9
        city.relay(broker)
        broker.controller_role().compact()
        assert len(versions(broker, topic)) == 3


def test_a_deleted_key_leaves_its_values_at_once_and_its_tombstone_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.fill(tmp_path, range(24), NOW)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        share = city.grant(broker, "a", "name").share
        city.relay(broker)
        later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        city.fill(tmp_path, range(12), NOW, zxbz="1", gxsj=later)
        city.fill(tmp_path, range(12, 24), NOW, xm="留", gxsj=later)
        city.collect(broker)
        city.relay(broker)
        assert share
        found = versions(broker, share.topic)
        assert (len(found), found.count(None)) == (48, 12)
        broker.controller_role().compact()
        found = versions(broker, share.topic)
        assert (len(found), found.count(None)) == (24, 12), "who was away must hear of it"
        assert all("留".encode() in value for value in found if value)
        monkeypatch.setattr(module, "TOMBSTONES_MS", -60_000)
        broker.controller_role().compact()
        left = versions(broker, share.topic)
        assert len([value for value in left if value]) == 12
        assert left.count(None) <= 4, "in each partition the last record alone"
