"""The control store locked by another process, for longer than anybody waits: what needs the
store says so and releases nothing unlawful; the rest goes on, and afterwards everything does.

The patience is lowered here: half a second, where it is half a minute in earnest.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.errors import StoreError
from broker.sharing.pulls import Pull, Pulls
from broker.sharing.share import CLOSED, LIVE
from broker.store import engine
from tests import city
from tests.faults.test_full import DATASET, RECORDS, running, small, write
from tests.serving import live, served, until

__all__ = ["small"]
EVENING = datetime(2026, 6, 1, 23, 30, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Milliseconds for which connections made from now on wait for another's lock."""
    connect, patience = engine.sqlite.on_connect, [500]

    def connected(connection: Any, record: Any) -> None:
        connect(connection, record)
        connection.execute(f"PRAGMA busy_timeout={patience[0]}")

    monkeypatch.setattr(engine.sqlite, "on_connect", connected)
    return patience


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process is in the middle of writing to the store."""
    other = sqlite3.connect(folder / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def names(broker: Broker, outcome: Any) -> set[str]:
    return {row["name"] for row in city.shown(broker, outcome).values()}


def test_nothing_unlawful_leaves_and_everything_goes_on(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    now = [EVENING]
    city.use_mapping(tmp_path)
    write(tmp_path, 0, range(12))
    broker = Broker(city.settings(tmp_path, **small), lambda: now[0])
    beside = Broker(city.settings(tmp_path), lambda: now[0])
    stays = city.grant(beside, "stays", "name")
    over = city.grant(beside, "over", "name sex", valid_until="2026-06-01")
    assert stays.share and over.share
    keys = {name: beside.api_keys.add(name) for name in ("stays", "over")}

    def state(outcome: Any) -> str:
        return beside.sharing.share(outcome.share.id).state

    with running(tmp_path, broker) as roles, httpx2.Client(timeout=20) as client:

        def ask(consumer: str) -> httpx2.Response:
            headers = {"Authorization": f"Bearer {keys[consumer]}"}
            return client.get(roles.url + RECORDS, headers=headers)

        until(lambda: state(stays) == state(over) == LIVE and roles.url)
        assert len(ask("over").json()["records"]) == 12
        recorded = len(beside.pulls.newest(100))
        with locked(tmp_path):
            answer = ask("stays")
            assert answer.status_code == 503 and "records" not in answer.json()
            with pytest.raises(StoreError) as error:
                beside.sharing.revoke(stays.grant.id, "r")
            assert error.value.mend and str(tmp_path / "store.db") in error.value.where
            write(tmp_path, 1, range(12))
            assert beside.registry.schema_id(beside.catalog.dataset(DATASET).schema)
            until(lambda: names(beside, stays) == {"第1次"})
            now[0] += timedelta(hours=1)  # the last day of a grant is over meanwhile
            assert ask("over").status_code in (403, 410)
            until(lambda: over.share and over.share.topic not in beside.log.topics())
            assert stays.share.topic in beside.log.topics()
            write(tmp_path, 2, range(12))
            until(lambda: names(beside, stays) == {"第2次"})
            until(lambda: roles.has_said("controller", "the control store cannot be used"))
            assert not roles.has_said("relay", "") and len(beside.pulls.newest(100)) == recorded
        until(lambda: state(over) == CLOSED)
        copy = {one["key"]: one["value"]["name"] for one in ask("stays").json()["records"]}
        assert list(copy.values()) == ["第2次"] * 12
        assert ask("over").status_code in (403, 410)
        beside.sharing.revoke(stays.grant.id, "r")
        late = city.grant(beside, "late", "name")
        until(lambda: state(stays) == CLOSED and state(late) == LIVE)
        assert names(beside, late) == {"第2次"}
    assert all(found.exact for found in compare_all(beside))
    for one in (broker, beside):
        one.close()


def test_a_right_that_ends_while_the_store_is_waited_for(
    tmp_path: Path, small: dict[str, Any], patience: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch was lawful when it was read, and is not when the lock is gone."""
    patience[0] = 10_000
    now, recording, record = [EVENING], threading.Event(), Pulls.record

    def recorded(self: Pulls, pull: Pull) -> None:
        recording.set()
        record(self, pull)

    monkeypatch.setattr(Pulls, "record", recorded)
    city.use_mapping(tmp_path)
    write(tmp_path, 0, range(12))
    with served(tmp_path) as web:
        for broker in (web.broker, web.role._make.__self__):  # type: ignore[attr-defined]
            broker.clock = lambda: now[0]
        city.collect(web.broker)
        one = live(web.broker, "over", "name", valid_until="2026-06-01")
        client, answers = web.client("over"), list[httpx2.Response]()

        def ask() -> None:
            with suppress(httpx2.TransportError):
                answers.append(client.get(RECORDS))

        asking = threading.Thread(target=ask)
        with locked(tmp_path):
            asking.start()
            assert recording.wait(10)
            now[0] += timedelta(hours=1)
        asking.join(10)
        assert answers, "it is told, not cut"
        assert answers[0].status_code in (403, 410) and "records" not in answers[0].json()
        assert len(city.shown(web.broker, one)) == 12
