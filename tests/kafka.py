"""A real Apache Kafka for tests: started when the first test wants it, ended with the run.

Law: nothing of it outlives this process, however that ends. Where it cannot be had, what
needs it is skipped with the reason, or fails where services are required.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialDeletion

from broker.log.kafka import opened
from broker.log.kafka.address import Address
from broker.log.kafka.choose import transport
from broker.log.kafka.cluster import KafkaCluster
from broker.log.kafka.engine import POSITIONS, KafkaLog
from deploy.kafka.cluster import Cluster, NoKafka

TRANSPORTS = ("librdkafka", "kafka-python")
REQUIRED = bool(os.environ.get("SHUQIAO_REQUIRE_SERVICES"))
_QUICK = {
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "6000",
    "log.cleaner.backoff.ms": "1000",
}


@contextmanager
def running(
    folder: Path, nodes: int = 1, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Cluster]:
    """A cluster, until the block or this process ends; `more` properties of its nodes."""
    cluster = Cluster(folder)
    keeper = subprocess.Popen(
        [sys.executable, "-m", "deploy.kafka.keeper", str(folder)],
        stdin=subprocess.PIPE, cwd=Path(__file__).parents[1], start_new_session=True,
    )  # fmt: skip
    try:
        cluster.make(nodes, {**_QUICK, **more})
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        assert keeper.stdin
        keeper.stdin.close()
        keeper.wait(30)


def lacking(reason: str) -> None:
    """Skip, or fail where services are required."""
    (pytest.fail if REQUIRED else pytest.skip)(f"no Kafka: {reason}")


@contextmanager
def own(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    nodes: int = 1,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Cluster]:
    """A cluster for one test alone, to be restarted, its cities put on it."""
    try:
        with running(folder, nodes, more) as cluster:
            put_on(cluster, monkeypatch)
            yield cluster
    except NoKafka as error:
        lacking(str(error))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of this run, of one node."""
    try:
        with running(tmp_path_factory.mktemp("kafka")) as cluster:
            yield cluster
    except NoKafka as error:
        lacking(str(error))


def address_of(cluster: Cluster) -> Address:
    """How ShuQiao reaches it."""
    given = cluster.settings
    files = Path(given["kafka_password_file"]), Path(given["kafka_ca"])
    return opened.address_of(given["kafka_servers"], given["kafka_user"], *files)


def log_on(cluster: Cluster, folder: Path, name: str) -> KafkaLog:
    """A log on it with that transport, its copies in the folder."""
    address = address_of(cluster)
    return KafkaLog(address, folder, transport(name, address))


def emptied(log: KafkaLog) -> None:
    """Remove every topic, table and position."""
    log.forget("")
    for name in set(log._all(fresh=True)) - {POSITIONS}:
        log.delete_topic(name)


def cleared(cluster: Cluster) -> None:
    """Remove every right and every user but our own."""
    known = KafkaCluster(address_of(cluster))
    known.take(known.rights())
    for user in known.users() - {cluster.settings["kafka_user"]}:
        remove_user(cluster, user)
    known.close()


def remove_user(cluster: Cluster, user: str) -> None:
    """As somebody who does not know that the cluster must not be restarted afterwards."""
    admin = KafkaAdminClient(**address_of(cluster).pure())
    gone = UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512)
    assert not any(admin.alter_user_scram_credentials([gone]).values())
    admin.close()


def user_address(cluster: Cluster, user: str, password: str) -> Address:
    """How that user reaches it."""
    address = address_of(cluster)
    return Address(address.servers, user, password, address.authority)


def as_user(cluster: Cluster, user: str, password: str) -> dict[str, Any]:
    """How confluent-kafka's clients are told to come as that user."""
    return user_address(cluster, user, password).librdkafka()


@pytest.fixture
def on_kafka(
    kafka: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], None]:
    """Puts every city of a test, and its processes, on the emptied cluster, by the transport
    that it is called with."""

    def put(name: str) -> None:
        log = log_on(kafka, tmp_path_factory.mktemp("emptying"), name)
        emptied(log)
        log.close()
        cleared(kafka)
        put_on(kafka, monkeypatch, name)

    return put


def put_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, name: str = "auto") -> None:
    """Put every city of a test, and its processes, on that cluster, by that transport."""
    more = {**cluster.settings, "kafka_transport": name}
    for setting, value in more.items():
        monkeypatch.setenv(f"SHUQIAO_{setting.upper()}", value)
