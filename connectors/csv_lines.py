"""The lines of a CSV as cells, one row a line.

Law: a stray quotation mark costs its own line and no other. A cell that holds a line
break is refused with every line it spans: read as rows, its text could pose as rows;
read as a cell, two stray marks could hide the good rows between them.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.source import MAX_VALUE

csv.field_size_limit(4 * MAX_VALUE)

STRAY_QUOTE = "stray_quote"
LINE_BREAK = "line_break_in_cell"
TOO_LONG = "value_too_long"


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its number from 1, its text, its cells; `fault` is a reason code or empty."""

    number: int
    text: str
    cells: list[str]
    fault: str = ""


def read_lines(file: Iterator[str]) -> Iterator[Line]:
    """Every line that is not blank, in order, each once."""
    lines = _Lines(file)
    while True:
        try:
            for cells in csv.reader(lines, strict=True):
                first, texts = lines.taken()
                if len(texts) > 1:
                    yield from (
                        Line(first + i, text, [], LINE_BREAK) for i, text in enumerate(texts)
                    )
                elif cells:
                    yield Line(first, texts[0], cells)
            return
        except csv.Error:
            first, texts = lines.taken()
            lines.give_back(texts[1:])
            too_long = len(texts[0]) > csv.field_size_limit()
            yield Line(first, texts[0], [], TOO_LONG if too_long else STRAY_QUOTE)


class _Lines:
    """The lines that go into the parser; remembers those of the row being read."""

    def __init__(self, file: Iterator[str]) -> None:
        self._file = file
        self._waiting: deque[str] = deque()
        self._row: list[str] = []
        self._number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._file)
        self._number += 1
        self._row.append(line)
        return line

    def taken(self) -> tuple[int, list[str]]:
        """The number of the row's first line, and its lines; the next row begins."""
        texts, self._row = self._row, []
        return self._number - len(texts) + 1, texts

    def give_back(self, texts: list[str]) -> None:
        """These are read again."""
        self._waiting.extendleft(reversed(texts))
        self._number -= len(texts)
