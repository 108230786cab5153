"""A full disk, and space again, under the running roles: they say so, wait, and go on by
themselves; what was acknowledged stands, and nothing leaves that cannot be recorded.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import event

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.roles import run_roles
from tests import city, recompute
from tests.faults.test_processes import DATASET, NOW, people, until

RECORDS = f"/v1/datasets/{DATASET}/records"
PLENTY = 1 << 20


class Running:
    """Every role at work over one state folder, on a disk that can be full."""

    def __init__(self, broker: Broker) -> None:
        self.said: list[str] = []
        self.url = ""
        self._log: sqlite3.Connection = broker.log._db  # type: ignore[attr-defined]
        self._store_pages = PLENTY
        engine = broker.store._engine
        event.listen(engine, "begin", self._limit_store)

    def _limit_store(self, connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={self._store_pages}")

    def log_full(self, full: bool) -> None:
        """No page more for the log, or as many as it likes."""
        pages = 1 if full else PLENTY  # never below what is there: no further page
        self._log.execute(f"PRAGMA max_page_count={pages}")

    def store_full(self, full: bool) -> None:
        self._store_pages = 1 if full else PLENTY

    def has_said(self, role: str, words: str) -> bool:
        return any(line.startswith(role) and words in line for line in self.said)


@contextmanager
def running(folder: Path, broker: Broker) -> Iterator[Running]:
    """Connectors, relay, controller and HTTP in threads, as `shuqiao up` runs them."""
    found, stop = Running(broker), threading.Event()

    def reached(url: str) -> None:
        found.url = url

    roles = [
        broker.connect_role(lambda words: found.said.append(f"connect: {words}")),
        broker.relay_role(),
        broker.controller_role(),
        broker.serve_role(reached),
    ]
    tell = lambda role, words: found.said.append(f"{role}: {words}")  # noqa: E731
    thread = threading.Thread(target=run_roles, args=(roles, stop, broker.telemetry.emit, tell))
    thread.start()
    try:
        yield found
    finally:
        found.log_full(False)
        found.store_full(False)
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def write(folder: Path, minutes: int, numbers: range) -> None:
    later = (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")
    rows = (
        city.resident(n, NOW, gxsj=later, xm=f"第{minutes}次", hjdz="长" * 900) for n in numbers
    )
    city.put(city.county(folder, "371502"), *rows)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of roles that look often."""
    monkeypatch.setattr("broker.roles._LONGEST_PAUSE", 0.5)
    return {"http_port": 0, "metrics_port": 0, "poll_seconds": 1, "relay_batch": 20}


def test_no_space_for_the_log_and_space_again(tmp_path: Path, small: dict[str, Any]) -> None:
    people(tmp_path, 20)
    with city.city(tmp_path, **small) as broker, city.city(tmp_path) as beside:
        one = city.grant(beside, "a", "name hukou_addr")
        key = beside.api_keys.add("a")
        assert one.share
        collected = beside.catalog.dataset(DATASET).collected_topic
        with running(tmp_path, broker) as roles:
            until(lambda: one.share and beside.sharing.share(one.share.id).state == "LIVE")
            until(lambda: len(city.shown(beside, one)) == 20)
            roles.log_full(True)
            write(tmp_path, 1, range(60))
            until(lambda: roles.has_said("connect", "no space left for the log"))
            before = recompute.newest(beside, collected)
            headers = {"Authorization": f"Bearer {key}"}
            with httpx2.Client(base_url=roles.url, headers=headers, timeout=10) as client:
                page = client.get(RECORDS)
                assert page.status_code == 200 and len(page.json()["records"]) >= 20
                assert client.get("/livez").status_code == 200
            assert beside.log.end(collected, 0) >= 1 and len(before) < 60
            roles.log_full(False)
            until(lambda: len(recompute.newest(beside, collected)) == 60)
            until(lambda: recompute.held(beside, one) == recompute.wanted(beside, one))
            assert len(city.shown(beside, one)) == 60
            ends = [beside.log.end(collected, part) for part in range(4)]
            assert sum(ends) == 80, "20 rows, then 60 newer ones; nothing twice"
        assert all(found.exact for found in compare_all(beside))


def test_no_space_for_a_share_and_space_again(tmp_path: Path, small: dict[str, Any]) -> None:
    """The collected topic is there, the relay has no room for what follows from it."""
    people(tmp_path, 20)
    write(tmp_path, 1, range(200))
    with city.city(tmp_path, **small) as broker, city.city(tmp_path) as beside:
        city.collect(beside, limit=1_000)
        with running(tmp_path, broker) as roles:
            until(lambda: roles.url)
            roles.log_full(True)
            one = city.grant(beside, "a", "name hukou_addr")
            until(
                lambda: (
                    roles.has_said("relay", "no space left")
                    or roles.has_said("controller", "no space left")
                )
            )
            assert one.share and beside.sharing.share(one.share.id).state == "OPENING"
            roles.log_full(False)
            until(lambda: one.share and beside.sharing.share(one.share.id).state == "LIVE")
            assert recompute.held(beside, one) == recompute.wanted(beside, one) != {}
            ends = [beside.log.end(one.share.topic, part) for part in range(4)]
            assert sum(ends) == 200, "nothing twice"
        assert all(found.exact for found in compare_all(beside))


def test_no_space_for_the_store_and_space_again(tmp_path: Path, small: dict[str, Any]) -> None:
    """A pull that cannot be recorded does not leave; a right can be taken once there is room."""
    people(tmp_path, 20)
    with city.city(tmp_path, **small) as broker, city.city(tmp_path) as beside:
        one = city.grant(beside, "a", "name")
        headers = {"Authorization": f"Bearer {beside.api_keys.add('a')}"}
        with running(tmp_path, broker) as roles:
            until(lambda: one.share and beside.sharing.share(one.share.id).state == "LIVE")
            with httpx2.Client(base_url=roles.url, headers=headers, timeout=10) as client:
                roles.store_full(True)
                codes: list[int] = []
                while codes[-5:] != [503] * 5 and len(codes) < 400:
                    codes.append(client.get(RECORDS, params={"limit": 1}).status_code)
                assert set(codes) == {200, 503} and codes[-1] == 503
                recorded = sum(pull.records for pull in beside.pulls.newest(1_000))
                assert recorded == codes.count(200), "what left is recorded, and nothing else left"
                write(tmp_path, 1, range(20))
                until(lambda: "第1次" in {row["name"] for row in city.shown(beside, one).values()})
                roles.store_full(False)
                assert client.get(RECORDS).status_code == 200
            beside.sharing.revoke(one.grant.id, "r")
            until(lambda: one.share and one.share.topic not in beside.log.topics())
        assert all(found.exact for found in compare_all(beside))
