"""A table that fits the terminal.

Law: nothing is folded inside a word, id or time. Where the columns do not fit, those that can be
spared go first, and are named; where they still do not, each row is told line by line.
"""

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 2
_PROSE = 24
"""The widest column may be wrapped between words, down to this width."""


def print_table(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[Text]],
    spare: Collection[int],
    title: Text | None,
) -> None:
    """Print rows under their heads; `spare` are the columns that can be spared, the first to go
    last."""
    kept, away = list(range(len(heads))), list[str]()
    for column in [*reversed(list(spare)), -1]:
        widths = [_width(heads[one], [row[one] for row in rows]) for one in kept]
        if _needed(widths) <= console.width:
            _print_whole(console, heads, rows, kept, title)
            if away:
                console.print(Text(f"+ {', '.join(away)}: --json", "dim"))
            return
        if column >= 0:
            kept.remove(column)
            away.insert(0, heads[column])
    _print_lines(console, heads, rows, title)


def _print_whole(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[Text]],
    kept: Sequence[int],
    title: Text | None,
) -> None:
    widths = [_width(heads[one], [row[one] for row in rows]) for one in kept]
    widest = widths.index(max(widths))
    table = Table(
        title=title, title_justify="left", header_style="bold", box=None, pad_edge=False,
        padding=(0, _GAP, 0, 0),
    )  # fmt: skip
    for number, one in enumerate(kept):
        number_like = all(row[one].plain.isdecimal() for row in rows)
        table.add_column(
            heads[one],
            overflow="fold",
            no_wrap=number != widest,
            justify="right" if number_like else "left",
        )
    for row in rows:
        table.add_row(*[row[one] for one in kept])
    console.print(table)


def _print_lines(
    console: Console, heads: Sequence[str], rows: Sequence[Sequence[Text]], title: Text | None
) -> None:
    """The first cell of a row as its head, the others below it, a line each."""
    if title is not None:
        console.print(title)
    room = max(Text(head).cell_len for head in heads[1:]) + _GAP
    for row in rows:
        console.print(Text.assemble((heads[0], "dim"), " ", _bold(row[0])))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 0, 0, 0))
        table.add_column(width=room + _GAP, no_wrap=True)
        table.add_column(overflow="fold")
        for head, cell in zip(heads[1:], row[1:], strict=True):
            if cell.plain:
                table.add_row(Text(f"{' ' * _GAP}{head}", "dim"), cell)
        console.print(table)


def _bold(cell: Text) -> Text:
    found = cell.copy()
    found.stylize("bold")
    return found


def _needed(widths: Sequence[int]) -> int:
    """The least width at which nothing but the widest column is wrapped."""
    widest = max(widths)
    return sum(widths) - widest + min(widest, _PROSE) + _GAP * (len(widths) - 1)


def _width(head: str, cells: Sequence[Text]) -> int:
    lines = [line for cell in cells for line in cell.plain.split("\n")]
    return max(Text(line).cell_len for line in [head, *lines])
