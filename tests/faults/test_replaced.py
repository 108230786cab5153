"""A file of the installation is deleted or put in another's place under a role that runs: the
role ends within two seconds and says so, and nothing leaves from what is no longer there.
"""

import http.client
import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from broker.bootstrap import Broker
from broker.log.interface import Append, Batch
from broker.sharing.share import Share
from tests import city
from tests.faults.test_processes import process, until
from tests.serving import live, served

DATASET = "ga.resident_base"
NOW = datetime.now() - timedelta(days=1)
PROMISED = 2.0


def deleted(file: Path) -> None:
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()


def replaced(file: Path) -> None:
    """By a copy, as who restores a backup does."""
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    copy.replace(file)


def another_keyring(file: Path) -> None:
    keys = json.loads(file.read_text())["keys"]
    other = file.with_name("other")
    other.touch(0o600)
    other.write_text(json.dumps({"keys": dict.fromkeys(keys, "00" * 32)}))
    other.replace(file)


def rebuilt(file: Path) -> None:
    """The folder goes, and another comes in its place."""
    file.parent.rename(file.parent.with_name("old"))
    file.parent.mkdir()


CASES: dict[str, tuple[str, Callable[[Path], None], tuple[str, ...]]] = {
    "up": ("log.db", deleted, ("up",)),
    "serve": ("log.db", replaced, ("serve",)),
    "controller": ("store.db", replaced, ("controller",)),
    "connect": ("keyring.json", another_keyring, ("connect", "run", "--follow")),
    "relay": ("log.db", rebuilt, ("relay", "--follow")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_role_ends_when_what_it_works_on_is_no_longer_there(tmp_path: Path, name: str) -> None:
    file, take_away, words = CASES[name]
    state = tmp_path / "state"
    city.fill(state, range(5), NOW)
    with city.city(state) as broker:
        city.collect(broker)
        live(broker, "a")
    events = state / "events.jsonl"
    events.write_text("")
    port = {"SHUQIAO_HTTP_PORT": "0", "SHUQIAO_METRICS_PORT": "0"}
    with process(state, *words, **port) as running:
        roles = 4 if name == "up" else 1
        until(lambda: events.read_text().count("RoleStarted") == roles)
        time.sleep(0.5)  # it is at work
        started = time.monotonic()
        take_away(state / file)
        assert running.wait(10) == 1
        assert time.monotonic() - started < PROMISED
        said = running.stdout.read() if running.stdout else ""
        assert file in said and "start again" in said and "Traceback" not in said
    failed = [json.loads(line) for line in events.read_text().splitlines()]
    assert [one["error"] for one in failed if one["event"] == "RoleFailed"] == ["Replaced"] * roles


def test_what_is_written_to_a_deleted_log_does_not_leave(tmp_path: Path) -> None:
    with served(tmp_path, 5) as web:
        share = live(web.broker, "a", "name").share
        assert share
        client = web.client("a")
        assert client.get(f"/v1/datasets/{DATASET}/records").status_code == 200
        deleted(tmp_path / "log.db")
        write(web.broker, share)
        assert client.get(f"/v1/datasets/{DATASET}/records").status_code == 503
        got = b""
        with (
            client.stream("GET", f"/v1/datasets/{DATASET}/snapshot") as answer,
            pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)),
        ):
            for piece in answer.iter_bytes():
                got += piece
        assert "张试".encode() not in got, "it is broken off before the first record"


def test_an_open_stream_ends_and_carries_nothing_of_a_deleted_log(tmp_path: Path) -> None:
    city.fill(tmp_path, range(5), NOW)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with city.city(tmp_path) as broker:
        city.collect(broker)
        share = live(broker, "a", "name").share
        key = broker.api_keys.add("a")
        assert share
        site = f"http://127.0.0.1:{port}"
        words = {"SHUQIAO_HTTP_PORT": str(port), "SHUQIAO_METRICS_PORT": "0"}
        with process(tmp_path, "up", **words) as up:
            until(lambda: answers(f"{site}/readyz"))
            asked = urllib.request.Request(
                f"{site}/v1/datasets/{DATASET}/events", headers={"Authorization": f"Bearer {key}"}
            )
            with urllib.request.urlopen(asked, timeout=20) as stream:
                while b"data:" not in stream.readline():
                    pass
                deleted(tmp_path / "log.db")
                started = time.monotonic()
                write(broker, share)
                rest = b""
                try:
                    while piece := stream.readline():
                        rest += piece
                        assert time.monotonic() - started < PROMISED
                except (OSError, http.client.HTTPException):
                    pass  # broken off
                assert time.monotonic() - started < PROMISED
            assert b"a later key".hex().encode() not in rest and rest.count(b"event: record") < 5
            assert up.wait(10) == 1


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def write(broker: Broker, share: Share) -> None:
    """A record, as a relay that still has the old file open would."""
    some = (record for part in range(4) for record in broker.log.read(share.topic, part, 0, 1))
    broker.log.commit(Batch([Append(share.topic, 0, b"a later key", next(some).value)]))
