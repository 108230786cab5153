"""`./run bench --engine kafka`: the figures on an Apache Kafka of one node that is started for
them, by either transport. What the brokers themselves use is not in the CPU figures.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.kafka.cluster import Cluster
from tests import kafka as on
from tests.bench.kafka_path import path_on
from tests.bench.kafka_times import appended_to_read, relays, revocations, take_over
from tests.bench.pull import pull

PEOPLE = {"librdkafka": 20_000, "kafka-python": 5_000}
"""Records of the path's figures: with Python alone it takes long."""


KAFKA: dict[str, Callable[[Cluster], Any]] = {
    "kafka_path": lambda cluster: {
        name: _on(cluster, name, path_on, cluster, name, PEOPLE[name]) for name in on.TRANSPORTS
    },
    "kafka_pull": lambda cluster: _on(cluster, "librdkafka", pull),
    "kafka_latency": lambda cluster: {
        name: _on(cluster, name, appended_to_read, cluster) for name in on.TRANSPORTS
    },
    "kafka_revocation": lambda cluster: {
        "one_share": _on(cluster, "librdkafka", revocations, cluster, False),
        "closings": _on(cluster, "librdkafka", revocations, cluster, True),
    },
    "kafka_take_over": lambda cluster: _on(cluster, "librdkafka", take_over),
    "kafka_relays": lambda cluster: {
        str(number): _on(cluster, "librdkafka", relays, 40_000, number) for number in (1, 2)
    },
}
"""Each is given a cluster to itself."""


@contextmanager
def placed() -> Iterator[Cluster]:
    """A cluster for the figures."""
    with tempfile.TemporaryDirectory() as folder, on.running(Path(folder) / "kafka") as cluster:
        yield cluster


def _on(cluster: Cluster, transport: str, work: Callable[..., Any], *given: Any) -> Any:
    """Do it with cities, and their processes, on the cluster by that transport."""
    before = dict(os.environ)
    settings = {**cluster.settings, "kafka_transport": transport}
    os.environ.update({f"SHUQIAO_{name.upper()}": value for name, value in settings.items()})
    try:
        with tempfile.TemporaryDirectory() as folder:
            log = on.log_on(cluster, Path(folder), transport)
            on.emptied(log)
            log.close()
        return work(*given)
    finally:
        on.cleared(cluster)
        os.environ.clear()
        os.environ.update(before)
