"""`shuqiao doctor`: each thing that can be wrong is found, with what to do."""

import os
import socket
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from broker import sqlite_options
from broker.bootstrap import Broker
from broker.doctor import Finding, examine
from broker.store import engine
from tests import city
from tests.serving import served

NOW = datetime.now() - timedelta(days=1)


def made(folder: Path) -> None:
    city.use_mapping(folder)
    city.put(city.county(folder, "371502"), *(city.resident(n, NOW) for n in range(300)))
    with city.city(folder) as broker:
        city.collect(broker, limit=300)
        city.grant(broker, "a", "name")
        city.relay(broker)


def wrong(folder: Path, **more: int) -> list[Finding]:
    broker = Broker(city.settings(folder, **{"http_port": 0, "metrics_port": 0, **more}))
    try:
        return [one for one in examine(broker) if not one.well]
    finally:
        broker.close()


def test_a_good_installation_is_well_and_so_is_an_empty_one(tmp_path: Path) -> None:
    made(tmp_path / "full")
    assert wrong(tmp_path / "full") == [] == wrong(tmp_path / "empty")
    assert not (tmp_path / "empty").exists(), "it looks and changes nothing"


def test_what_is_wrong_is_found_with_its_place_and_what_to_do(tmp_path: Path) -> None:
    made(tmp_path)
    keyring = tmp_path / "keyring.json"
    keyring.chmod(0o644)
    found = {one.check: one for one in wrong(tmp_path)}
    assert set(found) == {"files", "keyring"} and "chmod 600" in found["keyring"].mend
    keyring.chmod(0o600)
    text = keyring.read_text()
    keyring.write_text(text.replace('"seal"', '"other"'))
    assert [one.check for one in wrong(tmp_path)] == ["keyring"]
    keyring.write_text(text)
    rules = tmp_path / "policies" / "rules"
    rules.mkdir(parents=True)
    (rules / "x.yaml").write_text("rules:\n- {id: x}\n")
    (found_now, *_) = wrong(tmp_path)
    assert found_now.check == "policies" and "x.yaml:2" in found_now.found
    (rules / "x.yaml").unlink()
    ahead = time.time() + 3600
    os.utime(tmp_path / "log.db", (ahead, ahead))
    assert [one.check for one in wrong(tmp_path)] == ["clock"]
    os.utime(tmp_path / "log.db")
    mapping = tmp_path / "mappings" / "ga_resident_base.yaml"
    mapping.write_text(mapping.read_text("utf-8").replace("name", "nonsense"), "utf-8")
    assert [one.check for one in wrong(tmp_path)] == ["mappings"]


def test_a_damaged_page_is_refused_and_named(tmp_path: Path) -> None:
    made(tmp_path)
    log = tmp_path / "log.db"
    data = bytearray(log.read_bytes())
    for page in range(4, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    log.write_bytes(data)
    found = [one for one in wrong(tmp_path) if one.check in ("log", "keyring")]
    assert found and all("log.db" in one.found and "backup" in one.mend for one in found)


def test_a_busy_port_is_named_unless_it_is_this_installations(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for setting in ("http_port", "metrics_port"):
            (found,) = wrong(tmp_path / "empty", **{setting: port})
            assert found.check == "ports" and str(port) in found.found and setting in found.found
    assert not (tmp_path / "empty").exists(), "it looks and changes nothing"
    assert wrong(tmp_path / "empty", http_port=port) == []
    with served(tmp_path / "one", http_port=port):
        assert wrong(tmp_path / "one", http_port=port) == []
        (found,) = wrong(tmp_path / "other", http_port=port)
        assert found.check == "ports"
    assert wrong(tmp_path / "other", http_port=port) == []


def test_every_file_of_the_installation_is_private_by_its_own_mode(tmp_path: Path) -> None:
    made(tmp_path)
    with city.city(tmp_path) as broker:
        assert broker.sharing.consumers()  # the log's -wal and -shm are there while it is open
        assert broker.log.topics()
        broker.controller_role().look()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        ours = [path for path in files if path.parts[-2] not in ("gongan", "mappings", "holds")]
        assert {"log.db", "log.db-wal", "log.db-shm", "store.db", "keyring.json", "events.jsonl",
                "ends.json"} <= {path.name for path in ours}  # fmt: skip
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in ours} == {
            path.name: "0o0" for path in ours
        }
        for path in ours:
            path.chmod(0o644)
            found = [one for one in wrong(tmp_path) if one.check == "files"]
            (said,) = (one for one in found if f"{path} can be read by others" in one.found)
            assert said.mend.startswith(f"chmod 600 {path}")
            for one in ours:  # what SQLite makes beside a file has that file's mode
                if one.exists():
                    one.chmod(0o600)


def test_what_it_calls_private_is_named(tmp_path: Path) -> None:
    made(tmp_path)
    (found,) = (one for one in examine(Broker(city.settings(tmp_path))) if one.check == "files")
    for name in ("log.db", "store.db", "keyring.json", "events.jsonl"):
        assert name in found.found


@pytest.mark.parametrize("name", ["synchronous", "secure_delete"])
def test_what_the_log_was_not_given_is_found(tmp_path: Path, name: str) -> None:
    made(tmp_path)
    with city.city(tmp_path, http_port=0, metrics_port=0) as broker:
        broker.log._db.execute(f"PRAGMA {name}=OFF")  # type: ignore[attr-defined]
        every = [one for one in examine(broker) if not one.well]
    assert [one.check for one in every] == ["log"]
    found = every[0]
    assert f"{name} is 0, not " in found.found
    assert "another SQLite" in found.mend and "backup" not in found.mend


@pytest.mark.parametrize("name", ["synchronous", "foreign_keys"])
def test_what_the_store_was_not_given_is_found(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    connect = engine.sqlite.on_connect

    def connected(connection: sqlite3.Connection, record: object) -> None:
        connect(connection, record)
        connection.execute(f"PRAGMA {name}=OFF")

    monkeypatch.setattr(engine.sqlite, "on_connect", connected)
    (found,) = wrong(tmp_path)
    assert found.check == "store" and f"{name} is 0, not " in found.found and found.mend


def test_a_file_that_is_not_in_wal_mode_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    monkeypatch.setattr("broker.log.sqlite_file._to_wal", lambda db: None)
    monkeypatch.setattr(engine.sqlite, "on_connect", lambda connection, record: None)
    for name in ("log.db", "store.db"):
        with sqlite3.connect(tmp_path / name) as db:
            assert db.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
        db.close()
    found = [(one.check, one.found.rpartition(": ")[2]) for one in wrong(tmp_path)]
    assert ("log", "journal_mode is delete, not wal") in found
    assert ("store", "journal_mode is delete, not wal") in found


@pytest.mark.parametrize("option", sorted(sqlite_options.LACKING))
def test_an_sqlite_that_will_not_do_is_found(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_options, "compiled", lambda: {"THREADSAFE=1", option})
    (found,) = wrong(tmp_path)
    assert found.check == "sqlite" and sqlite_options.LACKING[option] in found.found
    assert "a Python whose SQLite" in found.mend
