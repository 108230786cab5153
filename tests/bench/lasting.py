"""Roles that run for a while, each as a process of its own: idle CPU, and memory."""

import sqlite3
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from broker.bootstrap import Broker
from tests import city
from tests.bench.measure import cpu_seconds, resident_mb
from tests.bench.roles import APART, Running, running
from tests.bench.towns import DATASET, filled, live

_PEOPLE = 5_000
_SETTLED = 8.0
"""Seconds after which a role that has started is idle."""
_CHANGES = 50
"""Changes a second at the source."""
_SAMPLED = 5.0
"""Seconds between two looks at the memory."""


def idle(seconds: float = 30.0) -> dict[str, Any]:
    """CPU of each role, in percent of a core, while nothing happens; `up` over a city of its
    own, at the same time."""
    with ExitStack() as stack:
        roles: dict[str, Running] = {}
        for names in (APART, ("up",)):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            with city.city(folder) as broker:
                filled(folder, broker, _PEOPLE)
                live(broker, "reader")
            roles |= stack.enter_context(running(folder, *names))
        time.sleep(_SETTLED)
        before = {role: cpu_seconds(one.pid) for role, one in roles.items()}
        time.sleep(seconds)
        used = {role: cpu_seconds(one.pid) - before[role] for role, one in roles.items()}
    shares = {role: round(one / seconds * 100, 2) for role, one in used.items()}
    return {
        "seconds": seconds,
        **{f"{role}_percent_of_a_core": share for role, share in shares.items()},
    }


def flat(minutes: float = 10.0) -> dict[str, Any]:
    """RSS of each role under steady small changes and a consumer that reads them: from a third of
    the time on, when all is warm, the first and the last, and how much they grow by the minute."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        filled(Path(name), broker, _PEOPLE)
        live(broker, "reader")
        key = broker.api_keys.add("reader")
        stop = threading.Event()
        with running(Path(name), *APART, settle_seconds=0, poll_seconds=1) as roles:
            reader = threading.Thread(target=_read, args=(roles["serve"].url, key, stop))
            writer = threading.Thread(target=_change, args=(Path(name), stop))
            threads = (reader, writer)
            for thread in threads:
                thread.start()
            try:
                time.sleep(minutes * 20)
                taken = _sampled(roles, minutes * 40)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
        return {
            "minutes": minutes,
            "changes_per_second": _CHANGES,
            "collected": _collected(broker) - _PEOPLE,
            **{role: _grown([(at, one[role]) for at, one in taken]) for role in roles},
        }


def _sampled(roles: dict[str, Running], seconds: float) -> list[tuple[float, dict[str, float]]]:
    """The memory of each, again and again for so long; with the minute."""
    started = time.monotonic()
    taken = [(0.0, _resident(roles))]
    while (now := time.monotonic()) < started + seconds:
        time.sleep(min(_SAMPLED, started + seconds - now))
        taken.append(((time.monotonic() - started) / 60, _resident(roles)))
    return taken


def _grown(taken: list[tuple[float, float]]) -> dict[str, float]:
    (_, first), (_, last) = taken[0], taken[-1]
    slope = statistics.linear_regression(*zip(*taken, strict=True)).slope
    return {
        "first_mb": round(first, 1),
        "last_mb": round(last, 1),
        "growth_percent": round((last / first - 1) * 100, 1),
        "mb_per_minute": round(slope, 3),
    }


def _resident(roles: dict[str, Running]) -> dict[str, float]:
    return {role: resident_mb(one.pid) for role, one in roles.items()}


def _collected(broker: Broker) -> int:
    dataset = broker.catalog.dataset(DATASET)
    ends = (broker.log.end(dataset.collected_topic, part) for part in range(dataset.partitions))
    return sum(ends)


def _change(folder: Path, stop: threading.Event) -> None:
    """Residents change at their source, some every second."""
    number = 0
    while not stop.wait(1):
        with sqlite3.connect(city.county(folder, "371502"), timeout=30) as db:
            for _ in range(_CHANGES):
                place = number % _PEOPLE
                row = city.resident(place, datetime.now(), xm=f"改{number}")
                db.execute("DELETE FROM t_rkxx WHERE gmsfhm = ?", (row["gmsfhm"],))
                city.add(db, row)
                number += 1
        db.close()


def _read(url: str, key: str, stop: threading.Event) -> None:
    """A consumer that polls, and takes a snapshot now and then."""
    base, headers = f"{url}/v1/datasets/{DATASET}", {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=base, headers=headers, timeout=60) as client:
        cursor, turn = "", 0
        while not stop.is_set():
            page = client.get("/records", params={"cursor": cursor, "wait": 2}).json()
            cursor = page["cursor"]
            turn += 1
            if turn % 20 == 0:
                client.get("/snapshot")
