"""The rows of the path: each measured in processes of its own, several runs, one engine and
transport after the other; beside them a bare copy, the naive peer and the reference.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests import city
from tests.bench.rows import COPY, Row, row_of

NAIVE = "fastavro and dictionaries"
PASSES = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """How much: records of the rows, the numbers of matching shares and of villages, and how
    often each process is run."""

    people: int
    shares: tuple[int, ...] = (1, 5, 20)
    villages: tuple[int, ...] = (10, 100, 1000)
    runs: int = 3


def path_rows(engine: str, transport: str, asked: Asked) -> Iterator[Row]:
    """The rows of one engine, as they are there."""
    place = engine, transport
    people = {"people": asked.people, "passes": PASSES}
    yield row_of(COPY, *place, _steady({"what": "copy", "masked": False, **people}, asked.runs))
    yield row_of(
        NAIVE, *place, _steady({"what": "copy", "masked": True, **people}, 1),
    )  # fmt: skip
    for shares in asked.shares:
        yield from _shares(place, asked, shares)
    for scopes in ("villages", "nested"):
        for number in asked.villages:
            yield from _scoped(place, asked, scopes, number)


def _shares(place: tuple[str, str], asked: Asked, shares: int) -> Iterator[Row]:
    """All shares match every record."""
    words = "share" if shares == 1 else "shares"
    given = {"what": "relay", "shares": shares, "scopes": "all", "steps": False,
             "people": asked.people if shares < 10 else asked.people // 4}  # fmt: skip
    found = [
        run({**given, "reference": False, "passes": PASSES})
        for _ in range(asked.runs if shares == 1 else 1)
    ]
    steady = [one for each in found for one in each["steady"]]
    peak = {"peak_mb": max(each["peak_mb"] for each in found)}
    yield row_of(f"relay, {shares} {words}, updates", *place, steady, **peak)
    first = [one for each in found for one in each["first load"]]
    yield row_of(f"relay, {shares} {words}, first load", *place, first)
    if shares == 1:
        late = [one for each in found for one in each["catch-up"]]
        yield row_of("relay, one share more catches up", *place, late)
        slow = run({**given, "people": asked.people // 5, "reference": True, "passes": 1})
        yield row_of("relay, 1 share, updates, by the reference", *place, slow["steady"])


def _scoped(place: tuple[str, str], asked: Asked, scopes: str, number: int) -> Iterator[Row]:
    """Each village has a share; nested: its town and its county as well."""
    found = run(
        {"what": "relay", "shares": number, "scopes": scopes, "reference": False, "steps": False,
         "people": asked.people, "passes": PASSES}
    )  # fmt: skip
    nested = ", their towns and counties" if scopes == "nested" else ""
    name = f"relay, {number} villages{nested}"
    yield row_of(f"{name}, updates", *place, found["steady"], peak_mb=found["peak_mb"])
    within = [{**one, "cpu": one["within"], "seconds": one["within"]} for one in found["steady"]]
    yield row_of(f"{name}: open, route, project", *place, within, part=True)


def kernel_rows() -> Iterator[Row]:
    """The projection alone."""
    found = run({"what": "kernel", "people": 5_000, "passes": 9})
    yield row_of("project: decode, mask and encode with fastavro", "none", "", found["fastavro"])
    yield row_of("project: the kernel", "none", "", found["kernel"])


def collect_rows(asked: Asked) -> Iterator[Row]:
    """Collecting from memory: map, validate, encode, seal, append."""
    found = run({"what": "collect", "people": asked.people // 2, "runs": 2 * asked.runs - 1})
    for what in ("first load", "unchanged rows"):
        yield row_of(f"collect from memory, {what}", "embedded", "", found[what])


def profile(engine: str, transport: str, people: int, shares: int) -> dict[str, float]:
    """CPU µs a record by step, and in the clients' own threads."""
    found = run(
        {"what": "relay", "shares": shares, "scopes": "all", "reference": False, "steps": True,
         "people": people, "passes": PASSES}
    )  # fmt: skip
    last = found["steady"][-1]
    steps = {name: spent / last["records"] * 1e6 for name, spent in found["steps"].items()}
    whole = last["cpu"] / last["records"] * 1e6
    rest = "clients' threads, and all else" if engine == "kafka" else "all else"
    return steps | {rest: whole - sum(steps.values()), "together": whole}


def _steady(asked: dict[str, Any], runs: int) -> list[dict[str, float]]:
    return [one for _ in range(runs) for one in run(asked)["steady"]]


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Measure in a process of its own, which is ended with this one."""
    command = [sys.executable, "-m", "tests.bench.work", json.dumps(asked)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=city.ROOT) as process:
        try:
            told, _ = process.communicate()
        except BaseException:
            process.terminate()  # it removes what it has on disk
            process.wait()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found
