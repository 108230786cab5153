"""The path of one dataset, in one process: collect, relay, memory, bytes on disk."""

import json
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
from tests.bench.measure import measured, peak_mb, rate


def path(people: int) -> dict[str, Any]:
    """Collect and relay one dataset for one share, in this process."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        city.use_mapping(Path(name))
        build(
            broker.settings.sources_path, people=people, seed=1, as_of=date.today(),
            divisions=broker.divisions,
        )  # fmt: skip
        limit = broker.settings.batch
        empty = disk_bytes(broker)
        reports, *collecting = measured(lambda: city.collect(broker, limit=limit))
        rows = sum(report.counts.rows for report in reports)
        collected = disk_bytes(broker)
        city.grant(
            broker, "grid", "id_no name sex birth_date hukou_addr division_code status",
            tier=Level.L2, department="grid",
        )  # fmt: skip
        progress, *relaying = measured(lambda: city.relay(broker))
        shared = disk_bytes(broker)
        table = "SELECT sum(length(key) + length(value)), count(*) FROM entry e"
        table += " JOIN tables t ON t.id = e.tab WHERE t.name = 'membership.ga.resident_base'"
        size, keys = broker.log._db.execute(table).fetchone()  # type: ignore[attr-defined]
        return {
            "collect": rate(rows, *collecting),
            "relay_one_share": rate(progress.read, *relaying),
            "membership_bytes_a_key": round(size / keys, 1) if keys else 0,
            "disk_bytes_per_record": {
                "collected_with_owners": round((collected - empty) / progress.read),
                "collected_payload": payload(broker, "collected"),
                "shared_with_membership": round((shared - collected) / progress.written),
                "shared_payload": payload(broker, "shared"),
            },
            "peak_memory_mb": peak_mb(),
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


def apart(people: int) -> dict[str, Any]:
    """`path` in a process of its own, so that its peak memory is its own."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench.path", str(people)],
        check=True, stdout=subprocess.PIPE, text=True, cwd=city.ROOT,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(result.stdout)
    return found


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


if __name__ == "__main__":
    print(json.dumps(path(int(sys.argv[1]))))
