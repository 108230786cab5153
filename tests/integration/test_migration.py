"""From a file to Apache Kafka: everything carried over, broken off anywhere, nothing missed."""

import json
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
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, PositionWrite, TableWrite
from broker.migration import DONE, Migration
from broker.quarantine import Quarantine
from broker.sharing.share import CLOSED, LIVE
from tests import city, recompute
from tests.serving import served

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
DATASET = "ga.resident_base"
PEOPLE = 30


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
        assert one.share
        return one.grant.id, one.share.id


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
    with pytest.raises(LogError, match="differ"):
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
        (entry,) = Quarantine(broker.catalog.dataset(DATASET), broker.sealer).entries(broker.log)
        assert entry[2].source != "relay"
        (report,) = city.collect(broker)
        assert report.counts.appended == 0, "the source stands where it stood"
        later = (NOW + timedelta(minutes=2)).strftime("%Y-%m-%d %H:%M:%S")
        row = city.resident(4, NOW, xm="新", gxsj=later)
        city.put(city.county(tmp_path, "371502"), row)
        (report,) = city.collect(broker)
        assert report.counts.appended == 1 and not report.error
        city.relay(broker)
        assert "新" in {one["name"] for one in city.shown(broker, one).values()}


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


class BrokenOff(Exception):
    """The migration's process ends here."""


@pytest.mark.parametrize("step", range(1, 12))
def test_broken_off_at_any_step_it_goes_on_where_it_was(tmp_path: Path, step: int) -> None:
    """From one file to another: what matters is what is committed with what."""
    source, target = EmbeddedLog(tmp_path / "a.db"), EmbeddedLog(tmp_path / "b.db")
    with city.city(tmp_path / "c") as broker:
        datasets = [broker.catalog.dataset(DATASET)]
        sealer = broker.sealer
    source.create_topics({f"collected.{DATASET}": 4, f"shared.{DATASET}.sx": 4})
    for number in range(12):
        key = b"%02d" % number
        batch = Batch(
            [Append(f"collected.{DATASET}", number % 4, key, key if number % 5 else None)],
            [TableWrite(f"owners.{DATASET}", number % 4, key, b"o" + key)],
            [PositionWrite("source.x", b"%d" % (number - 1) if number else None, b"%d" % number)],
        )
        source.commit(batch)
    source.commit(Batch(positions=[PositionWrite("relay.x", None, b"not carried")]))
    commit, left = target.commit, [step]

    def breaks(batch: Batch) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise BrokenOff
        commit(batch)

    def migration() -> Migration:
        return Migration(source, target, datasets, lambda: sealer)

    target.commit = breaks  # type: ignore[method-assign]
    with pytest.raises(BrokenOff):
        migration().begin()
        migration().copy()
        migration().finish()
    assert not migration().done
    target.commit = commit  # type: ignore[method-assign]
    migration().begin()
    migration().copy()
    assert all(one.equal for one in migration().compare())
    migration().finish()
    assert migration().done and target.position("relay.x") is None
    assert f"shared.{DATASET}.sx" not in target.topics()
    ends = [target.end(f"collected.{DATASET}", number) for number in range(4)]
    assert ends == [3, 3, 3, 3], "nothing twice"


def test_a_target_that_is_in_use_is_refused(tmp_path: Path) -> None:
    source, target = EmbeddedLog(tmp_path / "a.db"), EmbeddedLog(tmp_path / "b.db")
    target.create_topics({"collected.ga.other": 1})
    migration = Migration(source, target, [], lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(LogError, match="another origin"):
        migration.begin()
    other = EmbeddedLog(tmp_path / "c.db")
    again = Migration(other, EmbeddedLog(tmp_path / "d.db"), [], lambda: None)  # type: ignore[arg-type,return-value]
    again.begin()
    crossed = Migration(source, again._target, [], lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(LogError, match="another origin"):
        crossed.begin()


def test_what_differs_is_found(tmp_path: Path) -> None:
    source, target = EmbeddedLog(tmp_path / "a.db"), EmbeddedLog(tmp_path / "b.db")
    topic = f"collected.{DATASET}"
    for log, value in ((source, b"1"), (target, b"2")):
        log.create_topics({topic: 4})
        log.commit(Batch([Append(topic, 0, b"k", value)], [], [PositionWrite("p", None, value)]))
    migration = Migration(source, target, [], lambda: None)  # type: ignore[arg-type,return-value]
    assert {one.name for one in migration.compare() if not one.equal} == {topic, "positions"}


def test_it_runs_alone(there: tuple[str, str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    broker = Broker(city.settings(tmp_path))
    with broker.presence.among(), pytest.raises(SettingsError, match="at work"):
        migrated()
    broker.close()
    with pytest.raises(SettingsError, match="not a Kafka cluster"):
        migrated()


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
