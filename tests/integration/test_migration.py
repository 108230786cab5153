"""From a file to Apache Kafka: everything carried over, broken off anywhere, nothing missed."""

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from broker.bootstrap import Broker
from broker.cli.main import app
from broker.cli.reconcile import compare_all
from broker.errors import LogError, SettingsError
from broker.log.interface import Append, Batch, Log
from broker.log.topics import partition_of
from broker.migration import DONE
from broker.quarantine import Quarantine
from broker.sharing.share import CLOSED, LIVE
from tests import city, recompute
from tests.faults.test_processes import ended, process
from tests.serving import served

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
DATASET = "ga.resident_base"
PEOPLE = 30
ASIDE = ["ga_t_rkxx-371502", "relay"]
"""The sources of what is in quarantine."""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A city on its own files, with shares, a revoked one, a quarantined row and a deletion."""
    for name in ("KAFKA_SERVERS", "KAFKA_USER", "KAFKA_PASSWORD_FILE", "KAFKA_CA"):
        monkeypatch.delenv(f"SHUQIAO_{name}", raising=False)
    city.use_mapping(tmp_path)
    rows = [city.resident(n, NOW) for n in range(PEOPLE)]
    city.put(city.county(tmp_path, "371502"), *rows, city.resident(99, NOW, xb="?"))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name sex")
        other = city.grant(broker, "b", "sex")
        city.relay(broker)
        broker.sharing.revoke(other.grant.id, "r")
        broker.life.advance()
        later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        city.put(city.county(tmp_path, "371502"), city.resident(3, NOW, zxbz="1", gxsj=later))
        city.collect(broker)
        city.relay(broker)
        key = b"nobody can open this"
        place = f"collected.{DATASET}", partition_of(key, 4)
        broker.log.commit(Batch([Append(*place, key, b"garbage")]))
        city.relay(broker)
        assert set_aside(broker) == ASIDE
        assert one.share
        return one.grant.id, one.share.id


def set_aside(broker: Broker) -> list[str]:
    """The sources of what is in quarantine."""
    quarantine = Quarantine(broker.catalog.dataset(DATASET), broker.sealer)
    return sorted(one.source for *_, one in quarantine.entries(broker.log))


def everything(log: Log) -> Any:
    """All that could be overwritten."""
    topic = f"collected.{DATASET}"
    return log.positions(""), [log.end(topic, number) for number in range(4)]


def migrated(*words: str) -> Any:
    done = CliRunner().invoke(app, ["--json", "migrate", "embedded-to-kafka", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


@pytest.mark.parametrize("transport", ["librdkafka", "kafka-python"])
def test_everything_is_carried_over_and_each_grant_gets_a_new_share(
    on_kafka: Callable[[str], None],
    there: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
) -> None:
    grant, before = there
    on_kafka(transport)
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    with pytest.raises(SettingsError, match="not carried over"), city.city(tmp_path) as broker:
        assert broker.log
    with pytest.raises(LogError, match="nothing has been carried over yet"):
        migrated("--check")
    found = migrated()
    assert found["migrated"] and not found["different"] and found["entries"] > PEOPLE
    assert migrated("--check")["different"] == []
    assert migrated()["migrated"], "once more is no trouble"
    with city.city(tmp_path) as broker:
        assert broker.sharing.share(before).state in ("CLOSING", CLOSED)
        city.relay(broker)
        one = next(o for o in broker.sharing.settle() if o.grant.id == grant)
        assert one.share and one.share.id != before and one.share.state == LIVE
        assert len(recompute.held(broker, one)) == PEOPLE - 1
        assert all(each.exact for each in compare_all(broker))
        assert set_aside(broker) == ASIDE, "once each"
        (report,) = city.collect(broker)
        assert report.counts.appended == 0, "the source stands where it stood"
        later = (NOW + timedelta(minutes=2)).strftime("%Y-%m-%d %H:%M:%S")
        row = city.resident(4, NOW, xm="新", gxsj=later)
        city.put(city.county(tmp_path, "371502"), row)
        (report,) = city.collect(broker)
        assert report.counts.appended == 1 and not report.error
        city.relay(broker)
        assert "新" in {one["name"] for one in city.shown(broker, one).values()}
        stands = everything(broker.log)
    assert migrated()["migrated"], "it went on, and that is right"
    with city.city(tmp_path) as broker:
        assert everything(broker.log) == stands, "nothing is written any more"
        assert broker.sharing.share(one.share.id).state == LIVE


def test_a_consumer_over_http_misses_nothing(
    on_kafka: Callable[[str], None],
    there: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = f"/v1/datasets/{DATASET}/records"
    with served(tmp_path) as web:
        client = web.client("a")
        key = client.headers["authorization"].removeprefix("Bearer ")
        page = client.get(path).json()
        cursor = page["cursor"]
    on_kafka("librdkafka")
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    migrated()
    with served(tmp_path) as web:
        city.relay(web.broker)
        client = web.with_key(key)
        gone = client.get(f"{path}?cursor={cursor}")
        assert gone.status_code == 410, "its copy is of a share that is over"
        records = client.get(path).json()["records"]
        assert len(records) == PEOPLE - 1


def test_it_runs_alone(there: tuple[str, str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    with city.city(tmp_path) as broker:
        assert broker.log, "whoever has the log is at work: a role, a run of a connector"
        with pytest.raises(SettingsError, match="at work"):
            migrated()
    with pytest.raises(SettingsError, match="not a Kafka cluster"):
        migrated()
    alone = Broker(city.settings(tmp_path)).presence.alone()
    with city.city(tmp_path) as other:
        with alone, pytest.raises(SettingsError, match="carried over"):
            assert other.log
        assert other.log, "as soon as that has ended"


@pytest.mark.parametrize(
    "role", ["relay --follow", "controller", "serve", "connect run --follow", "up"]
)
def test_no_role_is_at_work_meanwhile(
    there: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    with process(tmp_path, *role.split()) as working:
        assert working.stdout
        try:
            assert any("running" in line for line in working.stdout)
            with pytest.raises(SettingsError, match="at work"):
                migrated()
        finally:
            working.send_signal(signal.SIGTERM)
            assert ended(working, 20) == 0
    with Broker(city.settings(tmp_path)).presence.alone():
        assert working.poll() == 0


def test_another_machine_waits_until_it_is_done(
    on_kafka: Callable[[str], None],
    there: tuple[str, str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_kafka("librdkafka")
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    other = tmp_path_factory.mktemp("other")
    with city.city(tmp_path) as broker, broker.migration() as migration:
        migration.begin()
        migration.copy()
    with city.city(other) as broker, pytest.raises(SettingsError, match="not finished"):
        assert broker.log
    assert migrated()["migrated"]
    with city.city(other) as broker:
        assert broker.log


def test_without_a_log_there_is_nothing_to_migrate(
    on_kafka: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_kafka("librdkafka")
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    with pytest.raises(SettingsError, match="no log to migrate from"):
        migrated()
    broker = Broker(city.settings(tmp_path))
    assert broker.log.position(DONE) is None
    broker.close()
