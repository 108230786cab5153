"""`./run bench [NAME …]`: figures of this machine, written to tests/bench/results.json.

Nothing is asserted here. Where only some are asked for, the others of the same machine
stand as they are; only ratios compare across machines.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType
from typing import Any

from deploy.kafka.cluster import missing
from tests.bench import asked, readme
from tests.bench.asked import Wanted
from tests.bench.compacting import compaction
from tests.bench.deciding import deciding
from tests.bench.delay import delays
from tests.bench.lasting import flat, idle
from tests.bench.latency import latency
from tests.bench.memory import MILLION, memory
from tests.bench.on_kafka import TIMES, on, placed
from tests.bench.opening import opening
from tests.bench.path import demo_seconds, disk
from tests.bench.path_rows import collect_rows, kernel_rows, path_rows, profile
from tests.bench.pull import pull_rows
from tests.bench.revocation import revocation
from tests.bench.rows import Row, keep, with_ratios

Rows = Callable[[], Iterable[Row]]
FLAT = "flat"
LONG = ("memory_large", FLAT)
"""Only when they are asked for."""


def main() -> None:
    """Measure, print, write."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    if sys.argv[1:2] == ["--profile"]:
        del sys.argv[1]
        _profile(asked.profile())
        return
    wanted = asked.bench()
    if wanted.readme:
        readme.write()
        return
    groups = {"embedded": _embedded(wanted), "kafka": _kafka(wanted, None, "")}
    known = list(dict.fromkeys(name for engine in wanted.engines for name in groups[engine]))
    names = wanted.names or [one for one in known if one not in LONG]
    if unknown := [name for name in names if name not in known]:
        asked.refuse(unknown, known)
    if "embedded" in wanted.engines:
        _each(names, groups["embedded"])
    if "kafka" in wanted.engines and not groups["kafka"].keys().isdisjoint(names):
        if why := missing():
            print(f"no Kafka: {why}: its rows are left out", file=sys.stderr)
            return
        with placed() as cluster:
            for transport in wanted.transports:
                with on(cluster, transport):
                    _each(names, _kafka(wanted, cluster, transport))


def _embedded(wanted: Wanted) -> dict[str, Rows]:
    place = "embedded", ""
    return {
        "kernel": kernel_rows,
        "path": lambda: path_rows(*place, wanted.size),
        "collect": lambda: collect_rows(wanted.size),
        "pull": lambda: pull_rows(*place),
        "disk": lambda: told("disk", *place, disk),
        "decide": lambda: told("decide", *place, deciding),
        "latency": lambda: told("latency", *place, latency),
        "revocation": lambda: told("revocation", *place, revocation),
        "compaction": lambda: told("compaction", *place, compaction),
        "idle": lambda: told("idle", *place, idle),
        "demo": lambda: told("demo", *place, lambda: {"seconds": demo_seconds()}),
        FLAT: lambda: told("memory over time", *place, lambda: flat(wanted.minutes)),
        **_on_both(*place),
    }


def _kafka(wanted: Wanted, cluster: Any, transport: str) -> dict[str, Rows]:
    place = "kafka", transport
    groups: dict[str, Rows] = {
        "path": lambda: path_rows(*place, wanted.on_kafka(transport)),
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


def _each(names: Iterable[str], groups: dict[str, Rows]) -> None:
    for name in names:
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


def _profile(given: argparse.Namespace) -> None:
    people, shares, engine = given.people, given.shares, given.engine
    if engine == "embedded":
        found = profile(engine, "", people, shares)
    else:
        if why := missing():
            sys.exit(f"no Kafka: {why}")
        with placed() as cluster, on(cluster, given.transport):
            found = profile(engine, given.transport, people, shares)
    print(f"CPU µs a record, {people} records, {shares} shares, {engine}")
    for name, spent in found.items():
        print(f"{spent:8.2f}  {name}")


def _end(number: int, frame: FrameType | None) -> None:
    """Asked to stop: whatever was started is ended on the way out."""
    print("ended before its end: what was measured before stands", file=sys.stderr)
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
