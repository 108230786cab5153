"""Random kills and revocations on a real Apache Kafka: see `ordeal`. A few here, many in
`./run soak --minutes N`, whose results are kept in `ordeals.json` beside this file.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.kafka.cluster import Cluster
from tests.faults.ordeal import PROMISED, Found, Ordeal
from tests.kafka import own

RESULTS = Path(__file__).with_name("ordeals.json")


def checked(found: Found, kills: int, revocations: int) -> None:
    """What was asked for has happened, of each kind enough."""
    assert sum(found.kills.values()) == kills and found.revocations == revocations
    assert found.closed >= revocations // 5 and found.of_others >= revocations // 10
    assert statistics.median(found.confirmed_seconds) <= PROMISED


def test_five_kills_and_twenty_revocations(
    on_kafka: Callable[[str], None], kafka: Cluster, tmp_path: Path
) -> None:
    on_kafka("librdkafka")
    checked(Ordeal(tmp_path, kafka, 11).run(5, 20), 5, 20)


@pytest.mark.soak
def test_ordeals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """One with 30 kills and 200 revocations, then more until the minutes are over."""
    until = time.monotonic() + 60 * float(pytestconfig.getoption("minutes"))
    number = 0
    while number == 0 or time.monotonic() < until:
        number += 1
        folder = tmp_path / str(number)
        started = time.monotonic()
        with own(folder / "kafka", monkeypatch) as cluster:
            found = Ordeal(folder, cluster, number).run(30, 200)
        kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
        seconds = sorted(found.confirmed_seconds)
        kept.append(
            asdict(found)
            | {
                "day": str(datetime.now(UTC).date()),
                "minutes": round((time.monotonic() - started) / 60, 1),
                "confirmed_seconds": {
                    "p50": round(statistics.median(seconds), 2),
                    "p99": round(seconds[round(len(seconds) * 0.99) - 1], 2),
                    "max": round(seconds[-1], 2),
                },
            }
        )
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        checked(found, 30, 200)
