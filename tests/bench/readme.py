"""README's tables of figures, made of the results between its two marks."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.bench.rows import Row, kept, table

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- figures: ./run bench --readme -->", "<!-- end of figures -->"


def made(text: str) -> str:
    """The README with the tables as the results are now."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("README has lost the marks of its figures")
    return f"{before}{BEGIN}\n{figures(kept())}\n{END}{after}"


def figures(rows: Iterable[Row]) -> str:
    """What costs CPU by the record; then delays and memory, where there are any."""
    known = list(rows)
    lines = [line for row in known for line in _lines(row)]
    if not lines:
        return table(known)
    return "\n".join([table(known), "", "| | engine | |", "|---|---|---|", *lines])


def _lines(row: Row) -> Iterator[str]:
    place = row.engine if not row.transport else f"{row.engine}, {row.transport}"
    for what, figure in _said(row):
        yield f"| {what} | {place} | {figure} |"


def _said(row: Row) -> Iterator[tuple[str, str]]:
    """What a row says, and its figures in words."""
    more = row.more
    if row.name == "delay":
        for part, one in more.items():
            if part.endswith("%"):
                what = f"delay at {part} of {more['capacity']:,} changes/s"
                made = f"{one['achieved_per_s']:,}/s made"
                yield what, f"p50 {one['p50_ms']:g} ms, p99 {one['p99_ms']:g} ms; {made}"
    elif {"before", "during"} <= more.keys():
        for when in ("before", "during"):
            one = more[when]
            yield f"{row.name}: {when}", f"p50 {one['p50_ms']:g} ms, p99 {one['p99_ms']:g} ms"
    elif "keys" in more:
        yield f"{row.name}, the relay's peak", f"{more['peak_mb']:g} MB"
    elif row.name == "memory over time":
        for role, one in more.items():
            if isinstance(one, dict):
                grown = f"{one['first_mb']:g} → {one['last_mb']:g} MB"
                what = f"memory of {role} over {more['minutes']:g} minutes"
                yield what, f"{grown}, {one['mb_per_minute']:g} MB a minute"


def write() -> None:
    """Put the tables into README."""
    README.write_text(made(README.read_text("utf-8")), "utf-8")
