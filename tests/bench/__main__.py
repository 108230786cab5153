"""`./run bench`: figures of this machine, written to tests/bench/results.json.

Every figure of a run comes from one run on one machine; only ratios compare across runs.
"""

import argparse
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.cli.demo.script import CONSUMERS, GRANTS, relaxes
from broker.model import Level
from broker.policy.decide import decide
from broker.policy.model import Consumer
from broker.sharing import grants as ledger
from broker.sharing.application import Application
from tests import city

RESULTS = Path(__file__).with_name("results.json")
DATASET = "ga.resident_base"


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, seconds, CPU seconds of this process)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def rate(records: int, seconds: float, cpu: float) -> dict[str, float]:
    """Records a second and CPU µs a record."""
    return {
        "records": records,
        "records_per_second": round(records / seconds),
        "cpu_us_per_record": round(cpu / records * 1e6, 1),
    }


def peak_mb() -> float:
    """The most memory this process had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if platform.system() == "Linux" else 1 << 20), 1)


def path(people: int) -> dict[str, Any]:
    """Collect and relay one dataset for one share, in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        from connectors.samples.build import build

        city.use_mapping(folder)
        with city.city(folder) as broker:
            build(
                broker.settings.sources_path, people=people, seed=1, as_of=date.today(),
                divisions=broker.divisions,
            )  # fmt: skip
            limit = broker.settings.batch
            reports, *collecting = measured(lambda: city.collect(broker, limit=limit))
            rows = sum(report.counts.rows for report in reports)
            city.grant(
                broker, "grid", "id_no name sex birth_date hukou_addr division_code status",
                tier=Level.L2, department="grid",
            )  # fmt: skip
            progress, *relaying = measured(lambda: city.relay(broker))
            table = "SELECT sum(length(key) + length(value)), count(*) FROM entry e"
            table += " JOIN tables t ON t.id = e.tab WHERE t.name = 'membership.ga.resident_base'"
            size, keys = broker.log._db.execute(table).fetchone()  # type: ignore[attr-defined]
            return {
                "collect": rate(rows, *collecting),
                "relay_one_share": rate(progress.read, *relaying),
                "membership_bytes_a_key": round(size / keys, 1) if keys else 0,
                "peak_memory_mb": peak_mb(),
            }


def fan_out(shares: int, records: int = 60_000) -> dict[str, Any]:
    """The relay with so many village shares, the records spread evenly over exactly those
    villages: each reaches one share. Then the catch-up of all of them in one pass."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        villages = [one.code for one in broker.divisions.all() if one.tier == "village"][:shares]
        give(broker, villages)
        broker.life.provision()
        city.use_mapping(Path(name))
        moment = datetime.now() - timedelta(days=1)
        with sqlite3.connect(city.county(Path(name), "371502")) as db:
            for index in range(records):
                place = villages[index % len(villages)]
                city.add(db, city.resident(index, moment, xzqh=place))
        city.collect(broker, limit=broker.settings.batch)
        progress, *following = measured(lambda: city.relay(broker))
        found = {"relay": rate(progress.read, *following), "written": progress.written}
        give(broker, villages, "q")
        progress, *catching = measured(lambda: city.relay(broker))
        return {**found, "catch_up_together": rate(progress.read, *catching)}


def give(broker: Broker, scopes: list[str], purpose: str = "p") -> None:
    """A grant for each scope, put down together and settled once."""
    broker.sharing.settle()
    with broker.store.writing() as connection:
        for scope in scopes:
            consumer = Consumer(f"{purpose}{scope}", "mz", Level.L3)
            ledger.put_consumer(connection, consumer, "")
            asked = Application(
                consumer.id, "ga.resident_base", ["name", "sex", "birth_date"], purpose, "b", scope,
                "2026-01-01", "2099-01-01", "i", "n",
                filter="" if purpose == "p" else "{not: {is_null: sex}}",
            )  # fmt: skip
            ledger.put_grant(connection, asked.grant(consumer, broker.catalog, broker.divisions))
    broker.sharing.settle()


def deciding() -> dict[str, float]:
    """µs of one decision, by the demo's grants."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        rules = broker.settings.local_policies / "rules"
        rules.mkdir(parents=True)
        (rules / "demo.yaml").write_text(relaxes(broker.today), "utf-8")
        for one in CONSUMERS:
            broker.sharing.add_consumer(one.id, one.department, Level(int(one.tier[1])), one.title)
        for one in GRANTS:
            city.grant(
                broker, one.consumer, one.items.replace(",", " "), dataset=one.dataset,
                scope=one.scope, purpose=one.purpose, minors=one.minors,
            )  # fmt: skip
        times, policy = [], broker.policy
        for grant in (one.grant for one in broker.sharing.grants()):
            dataset = broker.catalog.dataset(grant.dataset)
            _, seconds, _ = measured(
                lambda g=grant, d=dataset: [decide(g, (), d, policy) for _ in range(200)]
            )
            times.append(seconds / 200 * 1e6)
        return {"median_us": round(statistics.median(times), 1), "max_us": round(max(times), 1)}


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


def apart(people: int) -> dict[str, Any]:
    """`path` in a process of its own, so that its peak memory is its own."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--path", str(people)],
        check=True, capture_output=True, text=True, cwd=city.ROOT,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="./run bench")
    parser.add_argument("--path", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.path:
        print(json.dumps(path(asked.path)))
        return
    results = {
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.system(),
            "architecture": platform.machine(),
        },
        "people_10000": apart(10_000),
        "people_100000": apart(100_000),
        "relay_by_shares": {str(shares): fan_out(shares) for shares in (10, 100, 1000)},
        "decide": deciding(),
        "demo_once_seconds": demo_seconds(),
    }
    text = json.dumps(results, indent=1)
    RESULTS.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
