"""Several processes on one state folder: together, one after the other, killed, stopped."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.sharing.share import LIVE
from broker.store.tables import lease
from tests import city

DATASET = "ga.resident_base"
NOW = datetime.now() - timedelta(days=1)


@contextmanager
def process(folder: Path, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A command as a process of its own, ended by its id at the end."""
    environment = {
        **os.environ, "SHUQIAO_STATE": str(folder), "SHUQIAO_SETTLE_SECONDS": "0",
        "SHUQIAO_POLL_SECONDS": "1", "SHUQIAO_HTTP_PORT": "0", "SHUQIAO_METRICS_PORT": "0", **more,
    }  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-m", "broker.cli.main", "--lang", "en", *words],
        cwd=city.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def until(says: Callable[[], Any], seconds: float = 20) -> float:
    """See `city.until`."""
    return city.until(says, seconds)


def ended(running: "subprocess.Popen[str]", seconds: float) -> int:
    """The exit status of a process that must end within so many seconds."""
    until(lambda: running.poll() is not None, seconds)
    return int(running.returncode)


def people(folder: Path, count: int, **changes: str) -> None:
    city.fill(folder, range(count), NOW, **changes)


def state(broker: Broker, grant: str) -> str:
    share = broker.sharing.grant(grant).share
    return broker.sharing.share(share).state if share else ""


def test_up_collects_relays_closes_and_stops_on_a_signal(tmp_path: Path) -> None:
    people(tmp_path, 30)
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name")
        with process(tmp_path, "up") as up:
            until(lambda: state(broker, one.grant.id) == LIVE)
            until(lambda: len(city.shown(broker, one)) == 30)
            later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
            city.put(city.county(tmp_path, "371502"), city.resident(1, NOW, xm="新", gxsj=later))
            until(lambda: "新" in [one["name"] for one in city.shown(broker, one).values()])
            broker.sharing.revoke(one.grant.id, "r")
            assert one.share
            topic = one.share.topic
            assert until(lambda: topic not in broker.log.topics()) < 2
            assert not any(found.differences for found in compare_all(broker))
            up.terminate()
            assert ended(up, 10) == 0
            assert up.stdout and "stopped" in up.stdout.read()


@pytest.mark.parametrize("command", ["up", "serve"])
@pytest.mark.parametrize("setting", ["http_port", "metrics_port"])
def test_a_taken_port_ends_the_start(tmp_path: Path, command: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        variable = f"SHUQIAO_{setting.upper()}"
        with process(tmp_path, command, **{variable: str(port)}) as started:
            assert ended(started, 20) == 1
            assert started.stdout
            said = started.stdout.read()
    assert str(port) in said and setting in said and variable in said
    assert "running" not in said and "Traceback" not in said


def test_a_second_up_stands_by_and_serves_when_the_first_dies(tmp_path: Path) -> None:
    people(tmp_path, 3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def serves() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        except httpx2.TransportError:
            return False

    with process(tmp_path, "up", SHUQIAO_HTTP_PORT=str(port)) as first:
        until(serves)
        with process(tmp_path, "up", SHUQIAO_HTTP_PORT=str(port)) as second:
            assert second.stdout and "stands by" in second.stdout.readline()
            started = '"RoleStarted"'
            until(lambda: (tmp_path / "events.jsonl").read_text().count(started) == 8)
            time.sleep(1)  # every role of the second has found its work taken
            assert second.poll() is None
            first.send_signal(signal.SIGKILL)
            first.wait()
            assert until(serves) < 5 and second.poll() is None
            second.terminate()
            assert ended(second, 10) == 0


def test_a_second_relay_stands_by_and_takes_over(tmp_path: Path) -> None:
    people(tmp_path, 20)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        broker.life.provision()
        with process(tmp_path, "relay", "--follow") as first:
            until(lambda: broker.life.caught_up(one.share.id if one.share else "") == 4)
            with process(tmp_path, "relay", "--follow") as second:
                until(lambda: "RoleStarted" in (tmp_path / "events.jsonl").read_text()[-300:])
                assert not broker.hold(f"relay.{DATASET}").taken()
                first.send_signal(signal.SIGKILL)
                first.wait()
                later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
                city.put(
                    city.county(tmp_path, "371502"), city.resident(1, NOW, xm="新", gxsj=later)
                )
                city.collect(broker)
                until(lambda: "新" in [one["name"] for one in city.shown(broker, one).values()])
                assert second.poll() is None
        (found,) = compare_all(broker)
        assert found.exact and found.compared == 20


def test_a_second_controller_takes_over_within_two_seconds(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:

        def holder() -> str:
            with broker.store.reading() as connection:
                return connection.execute(select(lease.c.holder)).scalar() or ""

        with process(tmp_path, "controller") as first:
            until(holder)
            before = holder()
            with process(tmp_path, "controller"):
                until(lambda: (tmp_path / "events.jsonl").read_text().count("RoleStarted") == 2)
                time.sleep(1)
                assert holder() == before
                first.send_signal(signal.SIGKILL)
                first.wait()
                assert until(lambda: holder() != before) < 2


def stop_with_a_batch(relay: "subprocess.Popen[str]", log: Path) -> None:
    """SIGSTOP at some point of its work, but in no transaction: of large batches it has
    one in its hands nearly always."""

    def is_between() -> bool:
        relay.send_signal(signal.SIGSTOP)
        os.waitpid(relay.pid, os.WUNTRACED)
        with closing(sqlite3.connect(log, timeout=0, isolation_level=None)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
            except sqlite3.OperationalError:
                relay.send_signal(signal.SIGCONT)
                return False
        return True

    until(is_between)


def test_a_relay_that_was_stopped_lands_nothing_of_a_share_that_closed(tmp_path: Path) -> None:
    """Stopped for 5 s, while the grant is revoked and the share closes."""
    people(tmp_path, 3_000)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        stays, ends = city.grant(broker, "stays", "sex"), city.grant(broker, "ends", "name")
        assert stays.share and ends.share
        broker.life.provision()
        with process(tmp_path, "relay", "--follow", SHUQIAO_RELAY_BATCH="200") as relay:
            until(lambda: broker.log.end(ends.share.topic, 0) > 100)
            stop_with_a_batch(relay, tmp_path / "log.db")
            ends_at = (broker.log.end(ends.share.topic, partition) for partition in range(4))
            assert sum(ends_at) < 2_900, "it is in the middle"
            with process(tmp_path, "grant", "revoke", ends.grant.id, "--reason", "r") as revoke:
                time.sleep(5)
                relay.send_signal(signal.SIGCONT)
                assert ended(revoke, 30) == 0
            until(lambda: broker.life.caught_up(stays.share.id) == 4)
            assert ends.share.topic not in broker.log.topics()
            assert relay.poll() is None
        (found,) = compare_all(broker)
        assert found.exact and found.compared == 3_000
