"""The rows of the results: a figure by name, engine and transport, with its runs and spread."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
COPY = "bare copy"


@dataclass(slots=True)
class Row:
    """A figure. CPU is of the process that is measured, all threads, in µs a record; `spread` is
    the least and the most of its runs; `ratio_to_copy` how many records a CPU second it makes of
    those that a bare copy makes. `more`: what else is to be said of it."""

    name: str
    engine: str
    transport: str
    records_per_s: float | None = None
    cpu_us_per_record: float | None = None
    ratio_to_copy: float | None = None
    runs: int = 1
    spread: list[float] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str, str]:
        """What it is the figure of."""
        return self.name, self.engine, self.transport


def row_of(
    name: str, engine: str, transport: str, runs: Sequence[dict[str, float]], **more: Any
) -> Row:
    """The median of some passes (records, seconds, CPU seconds)."""
    cpu = [run["cpu"] / run["records"] * 1e6 for run in runs]
    speed = [run["records"] / run["seconds"] for run in runs]
    return Row(
        name,
        engine,
        transport,
        round(statistics.median(speed)),
        round(statistics.median(cpu), 2),
        None,
        len(runs),
        [round(min(cpu), 2), round(max(cpu), 2)],
        more,
    )


def with_ratios(rows: Iterable[Row]) -> list[Row]:
    """The same, each beside the bare copy of its engine and transport; but what is only a part
    of what the copy does."""
    found = list(rows)
    copies = {(row.engine, row.transport): row for row in found if row.name == COPY}
    for row in found:
        copy = copies.get((row.engine, row.transport))
        whole = not row.more.get("part")
        if whole and copy and copy.cpu_us_per_record and row.cpu_us_per_record:
            row.ratio_to_copy = round(copy.cpu_us_per_record / row.cpu_us_per_record, 2)
    return found


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def kept() -> list[Row]:
    """The rows so far, where they are of this machine."""
    known: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    if known.get("machine") != machine():
        return []
    return [Row(**one) for one in known.get("rows", [])]


def keep(rows: Iterable[Row]) -> None:
    """Write rows, in place of those of the same name, engine and transport."""
    every = {row.place: row for row in kept()} | {row.place: row for row in rows}
    found = {
        "machine": machine(),
        "date": date.today().isoformat(),
        "rows": [asdict(row) for row in every.values()],
    }
    fresh = RESULTS.with_suffix(".new")
    text = json.dumps(found, indent=1, ensure_ascii=False)
    fresh.write_text(text + "\n", "utf-8")
    fresh.replace(RESULTS)


def table(rows: Iterable[Row]) -> str:
    """The rows that cost CPU by the record, as a table of Markdown."""
    lines = [
        "| | engine | CPU µs a record | records a CPU second | of a bare copy |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        if row.cpu_us_per_record is None:
            continue
        place = row.engine if not row.transport else f"{row.engine}, {row.transport}"
        ratio = "" if row.ratio_to_copy is None else f"{row.ratio_to_copy:.2f}"
        cpu = row.cpu_us_per_record
        figures = f"{cpu:g} | {round(1e6 / cpu, -2):,.0f} | {ratio}"
        lines.append(f"| {row.name} | {place} | {figures} |")
    return "\n".join(lines)
