"""What is wrong with a cluster, a record or an identity, and what happens then."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.cli.reconcile import compare_all
from broker.errors import LogError, SettingsError
from broker.log.interface import Append, Batch
from broker.log.kafka.address import Address
from broker.log.kafka.cluster import KafkaCluster
from broker.quarantine import Quarantine
from broker.sharing.share import LIVE
from deploy.kafka.cluster import Cluster
from tests import city, recompute
from tests.faults.test_processes import ended, people, process, state, until
from tests.kafka import TRANSPORTS, address_of, log_on, own, remove_user

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
DATASET = "ga.resident_base"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_row_larger_than_a_record_may_be_is_set_aside(
    on_kafka: Callable[[str], None], tmp_path: Path, transport: str
) -> None:
    on_kafka(transport)
    city.use_mapping(tmp_path)
    large = dict.fromkeys(("hjdz", "xm"), "𠀀" * 1_000_000)
    rows = [city.resident(1, NOW), city.resident(2, NOW, **large), city.resident(3, NOW)]
    city.put(city.county(tmp_path, "371502"), *rows)
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker)
        assert report.error is None and report.counts.appended == 2
        dataset = broker.catalog.dataset(DATASET)
        ((_, _, entry),) = Quarantine(dataset, broker.sealer).entries(broker.log)
        assert entry.reason == "row_too_large" and entry.mend
        later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        city.put(city.county(tmp_path, "371502"), city.resident(2, NOW, gxsj=later))
        (report,) = city.collect(broker)
        assert report.counts.appended == 1, "shortened, it is collected"


def test_a_record_near_the_limit_passes_through_every_copy(
    on_kafka: Callable[[str], None], tmp_path: Path
) -> None:
    on_kafka("librdkafka")
    city.use_mapping(tmp_path)
    row = city.resident(1, NOW, hjdz="长" * 999_999, xm="长" * 999_999)
    city.put(city.county(tmp_path, "371502"), row)
    with city.city(tmp_path) as broker:
        (report,) = city.collect(broker)
        assert report.counts.appended == 1
        one = city.grant(broker, "a", "hukou_addr name")
        city.relay(broker)
        assert len(recompute.held(broker, one)) == 1
        assert all(found.exact for found in compare_all(broker))


@pytest.mark.parametrize("command", [("relay",), ("up",)])
def test_a_topic_that_somebody_changed_by_hand_refuses_its_dataset(
    on_kafka: Callable[[str], None],
    kafka: Cluster,
    tmp_path: Path,
    command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Said with what to do; nothing is relayed from it until it is mended."""
    on_kafka("librdkafka")
    monkeypatch.setattr("broker.log.kafka.engine._CHECKED", 0.0)
    people(tmp_path, 10)
    topic = f"collected.{DATASET}"
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        cluster = KafkaCluster(address_of(kafka))
        cluster.set_topic(topic, {"cleanup.policy": "delete"})
        try:
            with pytest.raises(LogError, match=r"cleanup\.policy") as refused:
                city.relay(broker)
            assert topic in str(refused.value) and "topics check" in refused.value.mend
            with pytest.raises(LogError, match=r"cleanup\.policy"):
                city.collect(broker)
            if command == ("up",):
                with process(tmp_path, *command) as up:
                    time.sleep(4)
                    assert up.poll() is None and state(broker, one.grant.id) != LIVE
                    assert broker.topics_check.apply() == []
                    until(lambda: state(broker, one.grant.id) == LIVE, 40)
            else:
                assert broker.topics_check.apply() == []
                time.sleep(1.2)
                city.relay(broker)
                assert len(recompute.held(broker, one)) == 10
        finally:
            cluster.close()


def test_partitions_that_somebody_added_refuse_the_dataset(
    on_kafka: Callable[[str], None], kafka: Cluster, tmp_path: Path
) -> None:
    on_kafka("librdkafka")
    people(tmp_path, 10)
    topic = f"collected.{DATASET}"
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        cluster = KafkaCluster(address_of(kafka))
        cluster._admin.client.create_partitions({topic: 6})
        cluster.close()
        time.sleep(1.2)
        with pytest.raises(LogError, match="6 partitions, not 4"):
            city.relay(broker)
        (found,) = [one for one in broker.topics_check.differences() if one.name == topic]
        assert not found.applied and "for life" in found.mend
        assert one.share and broker.sharing.share(one.share.id).state != LIVE


def test_it_cannot_be_reached_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear message within ten seconds, then growing pauses, until it is there."""
    monkeypatch.setenv("SHUQIAO_KAFKA_SERVERS", "127.0.0.1:1")
    with process(tmp_path, "up") as up:
        assert up.stdout is not None
        at = time.monotonic()
        line = up.stdout.readline()
        assert "Kafka cannot be reached" in line and time.monotonic() - at < 12
        assert up.poll() is None
        up.terminate()
        assert ended(up, 20) == 0


def test_a_wrong_password_is_said(kafka: Cluster, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("SECRET-WORD")
    given = dict(kafka.settings) | {"kafka_password_file": str(wrong)}
    environment = {f"SHUQIAO_{name.upper()}": value for name, value in given.items()}
    with process(tmp_path, "relay", **environment) as command:
        said, _ = command.communicate(timeout=40)
    assert command.returncode == 1 and "does not let us in" in said
    assert "SECRET-WORD" not in said and "Traceback" not in said


def test_a_missing_right_is_said(kafka: Cluster, tmp_path: Path) -> None:
    """A user that exists and may do nothing."""
    cluster = KafkaCluster(address_of(kafka))
    cluster.put_user("nobody_special", "word")
    try:
        (tmp_path / "word").write_text("word")
        given = dict(kafka.settings) | {
            "kafka_user": "nobody_special", "kafka_password_file": str(tmp_path / "word"),
        }  # fmt: skip
        environment = {f"SHUQIAO_{name.upper()}": value for name, value in given.items()}
        with process(tmp_path, "relay", **environment) as command:
            said, _ = command.communicate(timeout=40)
        assert command.returncode == 1 and "Traceback" not in said
        assert "right" in said
    finally:
        cluster.close()
        remove_user(kafka, "nobody_special")


def test_a_cluster_that_makes_topics_by_itself_makes_none_for_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's default: a worker that has not heard that a share is closed would bring it back."""
    more = {"auto.create.topics.enable": "true"}
    with own(tmp_path / "kafka", monkeypatch, more=more) as cluster:
        for name in TRANSPORTS:
            (tmp_path / name).mkdir()
            log = log_on(cluster, tmp_path / name, name)
            monkeypatch.setattr(log, "_must_be_there", lambda topic, partition: None)
            with pytest.raises(LogError):
                log.commit(Batch([Append("shared.ga.x.closed", 0, b"k", b"v")]))
            with suppress(LogError):
                log.end("shared.ga.x.gone", 0)
            assert not any(name.startswith("shared.") for name in log.topics())
            log.close()


def test_plain_text_to_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="plain text"):
        KafkaCluster(Address("10.0.0.9:9092", "u", "p"))


def test_clocks_an_hour_apart(
    on_kafka: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process an hour ahead, one an hour behind: the shares are exact all the same."""
    on_kafka("librdkafka")
    people(tmp_path, 10)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        for hours in (1, -1):
            shifted = hours * 3_600_000_000_000
            real = time.time_ns
            with monkeypatch.context() as patched:
                patched.setattr("time.time_ns", lambda shifted=shifted, real=real: real() + shifted)
                with city.city(tmp_path) as beside:
                    later = (NOW + timedelta(minutes=2 + hours)).strftime("%Y-%m-%d %H:%M:%S")
                    row = city.resident(2, NOW, xm=f"改{hours}", gxsj=later)
                    city.put(city.county(tmp_path, "371502"), row)
                    city.collect(beside)
                    city.relay(beside)
        city.relay(broker)
        assert len(recompute.held(broker, one)) == 10
        assert all(found.exact for found in compare_all(broker))
