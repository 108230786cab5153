"""`./run bench [NAME …]`: figures of this machine, written to tests/bench/results.json.

Nothing is asserted here. Where only some are asked for, the others of the same machine
stand as they are; only ratios compare across machines.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from tests.bench.compacting import compaction
from tests.bench.deciding import deciding
from tests.bench.lasting import idle, memory
from tests.bench.latency import latency
from tests.bench.on_kafka import KAFKA, placed
from tests.bench.path import apart, demo_seconds
from tests.bench.pull import pull
from tests.bench.revocation import revocation
from tests.bench.shares import by_shares

RESULTS = Path(__file__).with_name("results.json")
BENCHES: dict[str, Callable[[], Any]] = {
    "people_10000": lambda: apart(10_000),
    "people_100000": lambda: apart(100_000),
    "relay_by_shares": by_shares,
    "decide": deciding,
    "latency": latency,
    "revocation": revocation,
    "pull": pull,
    "compaction": compaction,
    "idle": idle,
    "demo_once_seconds": demo_seconds,
}
LONG = "memory"
"""Only when it is asked for."""


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def kept() -> dict[str, Any]:
    """The results so far, where they are of this machine."""
    known: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    return known if known.get("machine") == machine() else {"machine": machine()}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    every = [*BENCHES, LONG, *KAFKA]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(every)}")
    parser.add_argument("--minutes", type=float, default=10.0, help=f"how long {LONG} takes")
    parser.add_argument(
        "--engine", choices=("embedded", "kafka"), default="embedded", help="of which log"
    )
    asked = parser.parse_args()
    kafka = asked.engine == "kafka"
    known = [*KAFKA] if kafka else [*BENCHES, LONG]
    if wrong := sorted({*asked.names} - {*known}):
        parser.error(f"there is no {wrong[0]}; there are: {', '.join(known)}")
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        benches = {**BENCHES, LONG: lambda: memory(asked.minutes)}
        if kafka:
            cluster = stack.enter_context(placed())
            benches = {name: partial(bench, cluster) for name, bench in KAFKA.items()}
        for name in asked.names or [one for one in known if one != LONG]:
            _measure(name, benches[name])


def _measure(name: str, bench: Callable[[], Any]) -> None:
    started = time.perf_counter()
    found = bench()
    took = time.perf_counter() - started
    print(f"{name} ({took:.0f} s): {json.dumps(found, indent=1)}", flush=True)
    results = kept() | {name: found}
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    fresh.replace(RESULTS)


def _end(number: int, frame: FrameType | None) -> None:
    """Asked to stop: whatever was started is ended on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
