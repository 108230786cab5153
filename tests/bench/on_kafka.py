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
from tests import kafka
from tests.bench.kafka_times import appended_to_read, relays, revocations, take_over

TIMES: dict[str, Callable[[Cluster], Any]] = {
    "latency": appended_to_read,
    "revocation": lambda cluster: {
        "one_share": revocations(cluster, False),
        "closings": revocations(cluster, True),
    },
    "take_over": lambda cluster: take_over(),
    "relays": lambda cluster: {str(number): relays(40_000, number) for number in (1, 2)},
}
"""Each is given a cluster to itself."""


@contextmanager
def placed() -> Iterator[Cluster]:
    """A cluster for the figures."""
    with tempfile.TemporaryDirectory() as folder, kafka.running(Path(folder) / "kafka") as cluster:
        yield cluster


@contextmanager
def on(cluster: Cluster, transport: str) -> Iterator[None]:
    """Cities, and their processes, are on the cluster by that transport, until the block ends."""
    before = dict(os.environ)
    settings = {**cluster.settings, "kafka_transport": transport}
    os.environ.update({f"SHUQIAO_{name.upper()}": value for name, value in settings.items()})
    try:
        with tempfile.TemporaryDirectory() as folder:
            log = kafka.log_on(cluster, Path(folder), transport)
            kafka.emptied(log)
            log.close()
        yield
    finally:
        kafka.cleared(cluster)
        os.environ.clear()
        os.environ.update(before)
