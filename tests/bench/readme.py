"""README's table of figures, made of the results between its two marks."""

from pathlib import Path

from tests.bench.rows import kept, table

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- figures: ./run bench --readme -->", "<!-- end of figures -->"


def made(text: str) -> str:
    """The README with the table as the results are now."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("README has lost the marks of its figures")
    return f"{before}{BEGIN}\n{table(kept())}\n{END}{after}"


def write() -> None:
    """Put the table into README."""
    README.write_text(made(README.read_text("utf-8")), "utf-8")
