"""What compaction costs, and what somebody who writes meanwhile notices of it."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch
from tests.bench.measure import spread

_TOPIC, _OTHER = "shared.ga.resident_base.s1", "collected.ga.resident_base"
_PARTITIONS = 4
_VALUE = 200
"""Bytes of a value."""
_AT_ONCE = 5_000
_EVERY = 0.02
"""Seconds between two commits of the writer, each of `_A_COMMIT` records."""
_A_COMMIT = 20


def compaction(records: int = 200_000) -> dict[str, Any]:
    """A topic whose records are half superseded, compacted alone and beside a writer; the
    writer alone is what to compare with."""
    with _opened(records) as (_, compacting):
        alone = _compact(compacting, records)
    with _opened(records) as (log, compacting):
        undisturbed = _write(log, threading.Event(), 3.0)
        over = threading.Event()
        beside: dict[str, Any] = {}

        def compact() -> None:
            try:
                beside.update(_compact(compacting, records))
            finally:
                over.set()

        thread = threading.Thread(target=compact)
        thread.start()
        disturbed = _write(log, over, 120.0)
        thread.join()
    return {
        "alone": alone,
        "beside_a_writer": beside,
        "commit_of_the_writer": {
            "without_compaction": undisturbed,
            "during_compaction": disturbed,
        },
    }


@contextmanager
def _opened(records: int) -> Iterator[tuple[EmbeddedLog, EmbeddedLog]]:
    """A log with the topic, opened twice: each has a connection of its own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "log.db"
        with closing(EmbeddedLog(path)) as log, closing(EmbeddedLog(path)) as other:
            log.create_topics({_TOPIC: _PARTITIONS, _OTHER: 1})
            _fill(log, records)
            yield log, other


def _fill(log: EmbeddedLog, records: int) -> None:
    """Two versions of every key."""
    keys = records // 2
    for start in range(0, records, _AT_ONCE):
        log.commit(
            Batch(
                appends=[
                    Append(_TOPIC, n % _PARTITIONS, (n % keys).to_bytes(16, "big"), _value())
                    for n in range(start, min(start + _AT_ONCE, records))
                ]
            )
        )


def _value() -> bytes:
    return os.urandom(_VALUE)


def _compact(log: EmbeddedLog, records: int) -> dict[str, float]:
    """Compact every partition, and give the log's file back what it took."""
    started, cpu = time.perf_counter(), time.thread_time()
    removed = sum(log.compact(_TOPIC, part, None, 0) for part in range(_PARTITIONS))
    log.wiped()
    seconds = time.perf_counter() - started
    return {
        "records": records,
        "removed": removed,
        "seconds": round(seconds, 2),
        "us_per_record": round(seconds / records * 1e6, 1),
        "cpu_us_per_record": round((time.thread_time() - cpu) / records * 1e6, 1),
    }


def _write(log: EmbeddedLog, over: threading.Event, seconds: float) -> dict[str, float]:
    """Small commits at a steady pace until it is over, or for so long; their spread."""
    until = time.perf_counter() + seconds
    times: list[float] = []
    while not over.is_set() and time.perf_counter() < until:
        appends = [Append(_OTHER, 0, os.urandom(16), _value()) for _ in range(_A_COMMIT)]
        started = time.perf_counter()
        log.commit(Batch(appends=appends))
        times.append(time.perf_counter() - started)
        time.sleep(_EVERY)
    return spread(times)
