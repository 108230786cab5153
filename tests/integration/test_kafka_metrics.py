"""What operators see of a real Kafka: lag by Kafka's own tools, and a red `/readyz`."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.relay.display import Display
from deploy.kafka.cluster import Cluster, fetch_libraries
from tests import city
from tests.faults.test_processes import until
from tests.serving import NOW, Served, served

DATASET = "ga.resident_base"


@pytest.fixture
def web(on_kafka: Callable[[str], None], tmp_path: Path) -> Iterator[Served]:
    on_kafka("librdkafka")
    city.use_mapping(tmp_path)
    with served(tmp_path, 20) as found:
        yield found


def lag(kafka: Cluster, group: str, folder: Path) -> dict[str, tuple[int, int]]:
    """(offset, lag) by partition, as `kafka-consumer-groups` tells; empty where there is none."""
    properties = folder / "admin.properties"
    password = Path(kafka.settings["kafka_password_file"]).read_text("utf-8").strip()
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    properties.write_text(
        "security.protocol=SASL_SSL\nssl.truststore.type=PEM\n"
        f"ssl.truststore.location={kafka.settings['kafka_ca']}\nsasl.mechanism=SCRAM-SHA-512\n"
        f'sasl.jaas.config={login} username="{kafka.settings["kafka_user"]}" '
        f'password="{password}";\n'
    )
    done = subprocess.run(
        [
            "java", "-Xmx256m", "-cp", f"{fetch_libraries()}/*",
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            "--bootstrap-server", kafka.servers, "--command-config", str(properties),
            "--describe", "--group", group,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(group)]
    return {row[2]: (int(row[3]), int(row[5])) for row in rows}


def shown(broker: Broker) -> None:
    Display(broker.log, [broker.catalog.dataset(DATASET)], broker.sharing.shares).step()


def test_kafkas_own_tools_show_a_shares_lag(kafka: Cluster, web: Served, tmp_path: Path) -> None:
    broker = web.broker
    one = city.grant(broker, "a", "name")
    city.relay(broker)
    assert one.share
    group = f"shuqiao.share.{one.share.id}"
    shown(broker)
    found = lag(kafka, group, tmp_path)
    assert set(found) == {"0", "1", "2", "3"} and all(lag == 0 for _, lag in found.values())
    later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
    rows = [city.resident(n, NOW, xm="新", gxsj=later) for n in range(8)]
    city.put(city.county(tmp_path, "371502"), *rows)
    city.collect(broker)
    shown(broker)
    assert sum(lag for _, lag in lag(kafka, group, tmp_path).values()) >= 8
    broker.sharing.revoke(one.grant.id, "r")
    broker.life.advance()
    assert lag(kafka, group, tmp_path) == {}


def test_readyz_is_red_while_kafka_does_not_answer(kafka: Cluster, web: Served) -> None:
    city.grant(web.broker, "a", "name")
    client = web.client("a")
    assert client.get("/readyz").status_code == 200
    (node,) = kafka.nodes
    kafka.end(node, signal.SIGSTOP)
    try:
        at = time.monotonic()
        answer = client.get("/readyz")
        assert answer.status_code == 503 and time.monotonic() - at < 8
        assert answer.json()["parts"]["log"] in ("NoAnswer", "LogError")
        assert answer.json()["parts"]["keyring"] == "ok"
        assert client.get("/livez").status_code == 200
    finally:
        kafka.end(node, signal.SIGCONT)
    until(lambda: client.get("/readyz").status_code == 200, 30)
