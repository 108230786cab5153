"""The path on Apache Kafka, in one process: a bare copy, collect, relay into few and many shares.

The bare copy reads a topic and writes another in transactions of the relay's size, with the
same transport and nothing in between: the limit. CPU is this process's, not the broker's.
"""

import tempfile
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.log.interface import Run
from broker.log.kafka.choose import transport
from broker.model import Level
from deploy.kafka.cluster import Cluster
from tests import city
from tests import kafka as on
from tests.bench.measure import measured, rate
from tests.bench.towns import DATASET, settle_people

SHARES = (1, 5, 20)
_ITEMS = ("id_no", "name", "sex", "birth_date", "hukou_addr", "division_code", "status")
_COPY = "shared.bench.copy"


def path_on(cluster: Cluster, name: str, people: int) -> dict[str, Any]:
    """Each figure with that transport, and the cost of a record in terms of the bare copy's."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, city.city(Path(folder)) as broker:
        on.emptied(broker.log)  # type: ignore[arg-type]
        settle_people(Path(folder), people)
        limit = broker.settings.batch
        reports, *collecting = measured(lambda: city.collect(broker, limit=limit))
        rows = sum(report.counts.appended for report in reports)
        found["collect"] = rate(rows, *collecting)
        found["bare_copy"] = _copied(cluster, name, broker)
    for shares in SHARES:
        found[f"relay_{shares}_shares"] = _relayed(people, shares)
    bare = found["bare_copy"]
    for shares in SHARES:
        one = found[f"relay_{shares}_shares"]
        one["seconds_to_bare_copy"] = round(
            bare["records_per_second"] / one["records_per_second"], 2
        )
        one["cpu_to_bare_copy"] = round(one["cpu_us_per_record"] / bare["cpu_us_per_record"], 2)
    return found


def _copied(cluster: Cluster, name: str, broker: Broker) -> dict[str, float]:
    """The collected topic into another, in transactions."""
    dataset = broker.catalog.dataset(DATASET)
    broker.log.create_topics({_COPY: dataset.partitions})
    made = transport(name, on.address_of(cluster))
    reader, writer = made.reader(), made.writer("shuqiao.bench.copy")
    size = broker.settings.relay_batch

    def copy() -> int:
        records = 0
        for number in range(dataset.partitions):
            offset, end = 0, reader.stable_end(dataset.collected_topic, number)
            while offset < end:
                page = reader.read(dataset.collected_topic, number, offset, size)
                writer.land([Run(_COPY, number, page.keys, page.values)])
                offset = page.after
                records += len(page.keys)
        return records

    records, *copying = measured(copy)
    reader.close()
    writer.close()
    return rate(records, *copying)


def _relayed(people: int, shares: int) -> dict[str, Any]:
    """One pass into so many shares, each of which every record reaches."""
    with tempfile.TemporaryDirectory() as folder, city.city(Path(folder)) as broker:
        on.emptied(broker.log)  # type: ignore[arg-type]
        settle_people(Path(folder), 0)
        city.collect(broker)
        for number, items in enumerate(islice(combinations(_ITEMS, 5), shares)):
            city.grant(broker, f"c{number}", " ".join(items), tier=Level.L2, department="grid")
        city.relay(broker)
        settle_people(Path(folder), people)
        city.collect(broker, limit=broker.settings.batch)
        progress, *relaying = measured(lambda: city.relay(broker))
        return rate(progress.read, *relaying) | {"written": progress.written}
