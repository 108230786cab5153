"""`./run bench [NAME …]`: figures of this machine, written to tests/bench/results.json.

Nothing is asserted here. Where only some are asked for, the others of the same machine
stand as they are; only ratios compare across machines.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

from deploy.kafka.cluster import missing
from tests.bench import readme
from tests.bench.compacting import compaction
from tests.bench.deciding import deciding
from tests.bench.delay import delays
from tests.bench.lasting import flat, idle
from tests.bench.latency import latency
from tests.bench.memory import MILLION, memory
from tests.bench.on_kafka import TIMES, on, placed
from tests.bench.opening import opening
from tests.bench.path import demo_seconds, disk
from tests.bench.path_rows import Asked, collect_rows, kernel_rows, path_rows, profile
from tests.bench.pull import pull_rows
from tests.bench.revocation import revocation
from tests.bench.rows import Row, keep, with_ratios

Rows = Callable[[], Iterable[Row]]
FLAT = "flat"
LONG = ("memory_large", FLAT)
"""Only when they are asked for."""

TRANSPORTS = ("librdkafka", "kafka-python")
_SLOW = 20
"""With Python alone on Kafka: so many times fewer records."""


def main() -> None:
    """Measure, print, write."""
    signal.signal(signal.SIGTERM, _end)
    asked = _asked()
    if asked.readme:
        readme.write()
        return
    if asked.profile:
        _profile(asked)
        return
    engines = ("embedded", "kafka") if asked.engine == "all" else (asked.engine,)
    known = _names(asked, engines)
    if lacking := [name for name in asked.names if name not in known]:
        sys.exit(f"there is no {', '.join(lacking)} here; there are: {', '.join(known)}")
    if "embedded" in engines:
        _each(asked, _embedded(asked))
    if "kafka" in engines:
        if why := missing():
            print(f"no Kafka: {why}: its rows are left out", file=sys.stderr)
            return
        with placed() as cluster:
            for transport in TRANSPORTS if asked.transport == "all" else (asked.transport,):
                with on(cluster, transport):
                    _each(asked, _kafka(asked, cluster, transport))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the groups; all without")
    parser.add_argument("--engine", choices=("embedded", "kafka", "all"), default="all")
    parser.add_argument("--transport", choices=(*TRANSPORTS, "all"), default="librdkafka")
    parser.add_argument("--people", type=int, default=100_000, help="records of the path's rows")
    parser.add_argument("--shares", help="numbers of matching shares: 1,5,20")
    parser.add_argument("--villages", help="numbers of villages: 10,100,1000")
    parser.add_argument("--runs", type=int, default=3, help="processes for each figure")
    parser.add_argument("--minutes", type=float, default=10.0, help=f"how long {FLAT} takes")
    parser.add_argument("--readme", action="store_true", help="make README's table of the results")
    parser.add_argument("--profile", action="store_true", help="where the relay's time goes")
    return parser.parse_args()


def _names(asked: argparse.Namespace, engines: Iterable[str]) -> list[str]:
    """Of the groups that one of these engines has."""
    groups = {"embedded": _embedded(asked), "kafka": _kafka(asked, None, "")}
    return list(dict.fromkeys(name for engine in engines for name in groups[engine]))


def _size(asked: argparse.Namespace) -> Asked:
    found = Asked(asked.people, runs=asked.runs)
    if asked.shares:
        found = replace(found, shares=tuple(map(int, asked.shares.split(","))))
    if asked.villages:
        found = replace(found, villages=tuple(map(int, asked.villages.split(","))))
    return found


def _embedded(asked: argparse.Namespace) -> dict[str, Rows]:
    place = "embedded", ""
    return {
        "kernel": kernel_rows,
        "path": lambda: path_rows(*place, _size(asked)),
        "collect": lambda: collect_rows(_size(asked)),
        "pull": lambda: pull_rows(*place),
        "disk": lambda: told("disk", *place, disk),
        "decide": lambda: told("decide", *place, deciding),
        "latency": lambda: told("latency", *place, latency),
        "revocation": lambda: told("revocation", *place, revocation),
        "compaction": lambda: told("compaction", *place, compaction),
        "idle": lambda: told("idle", *place, idle),
        "demo": lambda: told("demo", *place, lambda: {"seconds": demo_seconds()}),
        FLAT: lambda: told("memory over time", *place, lambda: flat(asked.minutes)),
        **_on_both(*place),
    }


def _kafka(asked: argparse.Namespace, cluster: Any, transport: str) -> dict[str, Rows]:
    place = "kafka", transport
    size = _size(asked)
    if not asked.villages:
        size = replace(size, villages=(10, 100))  # making 4,000 partitions takes minutes
    if transport == "kafka-python":
        size = replace(size, people=asked.people // _SLOW, runs=1, villages=())
    groups: dict[str, Rows] = {
        "path": lambda: path_rows(*place, size),
        "pull": lambda: pull_rows(*place),
        **_on_both(*place),
    }
    for name, work in TIMES.items():
        groups[name] = partial(told, name, *place, partial(work, cluster))
    return groups


def _on_both(engine: str, transport: str) -> dict[str, Rows]:
    """What is the same on every engine, and no cost of a record."""
    place = engine, transport

    def of_keys(keys: int) -> Rows:
        return lambda: told(f"memory, {keys:,} keys", *place, lambda: memory(keys))

    return {
        "delay": lambda: told("delay", *place, lambda: delays(*place)),
        "catch-up": lambda: told("delay while a share opens", *place, opening),
        "memory": of_keys(MILLION),
        "memory_large": of_keys(10 * MILLION),
    }


def told(name: str, engine: str, transport: str, work: Callable[[], Any]) -> Iterator[Row]:
    """A row of figures that are no cost of a record."""
    yield Row(name, engine, transport, more=work())


def _each(asked: argparse.Namespace, groups: dict[str, Rows]) -> None:
    for name in asked.names or [one for one in groups if one not in LONG]:
        if name not in groups:
            continue  # another engine has it
        started = time.perf_counter()
        found = list[Row]()
        for row in groups[name]():
            found.append(row)
            print(row.name, row.engine, row.transport, _words(row), flush=True)
        keep(with_ratios(found))
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)


def _words(row: Row) -> str:
    if row.cpu_us_per_record is None:
        return str(row.more)
    return f"{row.cpu_us_per_record} µs {row.spread}, {row.records_per_s:,}/s"


def _profile(asked: argparse.Namespace) -> None:
    shares = int((asked.shares or "1").split(",")[0])
    engine = "embedded" if asked.engine == "all" else asked.engine
    if engine == "embedded":
        found = profile(engine, "", asked.people, shares)
    else:
        with placed() as cluster, on(cluster, asked.transport):
            found = profile(engine, asked.transport, asked.people, shares)
    print(f"CPU µs a record, {asked.people} records, {shares} shares, {engine}")
    for name, spent in found.items():
        print(f"{spent:8.2f}  {name}")


def _end(number: int, frame: FrameType | None) -> None:
    """Asked to stop: whatever was started is ended on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
