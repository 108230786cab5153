"""What the product needs goes away and comes back while it works on Apache Kafka: the store; the
earlier versions of collected records, which Kafka compacts while no relay runs.
"""

import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.errors import StoreError
from broker.log.kafka.cluster import KafkaCluster
from broker.sharing.share import CLOSED
from deploy.kafka.cluster import Cluster
from deploy.postgres.server import Server
from tests import city, recompute
from tests.faults.ordeal import Load
from tests.faults.test_kafka_nodes import exact, shows
from tests.faults.test_processes import DATASET, NOW, ended, people, process, until
from tests.kafka import address_of

On = Callable[[str], None]
PEOPLE = 60
TOPIC = f"collected.{DATASET}"
AWAY = 6.0
QUICK = {
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "1",
    "min.compaction.lag.ms": "0",
}
"""How a topic is set so that Kafka compacts it within seconds."""


def test_the_store_goes_away_under_load(
    on_kafka: On, on_postgres: Callable[[], str], postgres: Server, tmp_path: Path
) -> None:
    """Nothing is given while it is away, and nothing has to be started again."""
    on_kafka("librdkafka")
    on_postgres()
    people(tmp_path, PEOPLE)
    load = Load(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        assert one.share and other.share
        with process(tmp_path, "up") as up:
            until(lambda: len(recompute.held(broker, one)) == PEOPLE, 30)
            with load.going_on():
                postgres.stop()
                try:
                    with pytest.raises(StoreError):
                        broker.sharing.revoke(other.grant.id, "r")
                    time.sleep(AWAY)
                    assert up.poll() is None
                finally:
                    postgres.start()
                back = load.turns
                until(shows(broker, one, back), 40)
                broker.sharing.revoke(other.grant.id, "r")
                until(lambda: broker.sharing.share(other.share.id).state == CLOSED, 20)
                assert other.share.topic not in broker.log.topics()
            load.change()
            until(shows(broker, one, load.turns), 40)
            up.send_signal(signal.SIGTERM)
            assert ended(up, 20) == 0
        assert exact(broker)


@pytest.mark.parametrize("transport", ["librdkafka", "kafka-python"])
def test_what_was_compacted_while_no_relay_ran(
    on_kafka: On, kafka: Cluster, tmp_path: Path, transport: str
) -> None:
    on_kafka(transport)
    people(tmp_path, PEOPLE)
    load = Load(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert len(recompute.held(broker, one)) == PEOPLE
        for _ in range(8):  # each resident twice
            load.change()
            city.collect(broker, limit=1_000)
        gone = city.resident(PEOPLE - 1, NOW + timedelta(hours=1), zxbz="1")
        city.put(city.county(tmp_path, "371502"), gone)
        city.collect(broker, limit=1_000)
        before = records(broker)
        cluster = KafkaCluster(address_of(kafka))
        cluster.set_topic(TOPIC, QUICK)
        load.change()
        city.collect(broker, limit=1_000)  # the segments so far are closed
        until(lambda: records(broker) < before, 60)
        late = city.grant(broker, "b", "sex")  # opens on what is left
        city.relay(broker)
        assert len(recompute.held(broker, one)) == len(recompute.held(broker, late)) == PEOPLE - 1
        assert exact(broker) and shows(broker, one, load.turns)()
        cluster.close()


def records(broker: Broker) -> int:
    """How many records the collected topic still has."""
    return sum(len(broker.log.read(TOPIC, number, 0, 10_000)) for number in range(4))
