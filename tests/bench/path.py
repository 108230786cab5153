"""What the records of a dataset take on disk; how long the demo takes."""

import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.model import Level
from connectors.samples.build import build
from tests import city


def disk(people: int = 10_000) -> dict[str, Any]:
    """Bytes a record on disk, of the collected topic with its owners and of a shared topic with
    its membership, and what of it is key and value."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        city.use_mapping(Path(name))
        build(
            broker.settings.sources_path, people=people, seed=1, as_of=date.today(),
            divisions=broker.divisions,
        )  # fmt: skip
        empty = disk_bytes(broker)
        city.collect(broker, limit=broker.settings.batch)
        collected = disk_bytes(broker)
        city.grant(
            broker, "grid", "id_no name sex birth_date hukou_addr division_code status",
            tier=Level.L2, department="grid",
        )  # fmt: skip
        progress = city.relay(broker)
        shared = disk_bytes(broker)
        return {
            "collected_with_owners": round((collected - empty) / progress.read),
            "collected_payload": payload(broker, "collected"),
            "shared_with_membership": round((shared - collected) / progress.written),
            "shared_payload": payload(broker, "shared"),
        }


def disk_bytes(broker: Broker) -> int:
    """What the log takes on disk, once everything stands in its own file."""
    broker.log.wiped()
    return broker.settings.log_path.stat().st_size


def payload(broker: Broker, kind: str) -> int:
    """Bytes of key and value of a record, in the topics of a kind."""
    query = "SELECT avg(length(r.key) + length(r.value)) FROM record r JOIN topic t"
    query += " ON t.id = r.topic WHERE t.name LIKE ?"
    row = broker.log._db.execute(query, (f"{kind}.%",)).fetchone()  # type: ignore[attr-defined]
    return round(row[0])


def demo_seconds() -> float:
    """Wall seconds of the demo at its ordinary size, as a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "broker.cli.main", "demo", "--once", "--json", "--state",
             f"{folder}/demo"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=city.ROOT,
        )  # fmt: skip
        return round(time.perf_counter() - started, 1)
