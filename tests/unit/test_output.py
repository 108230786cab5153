"""What is printed: words as they stand, values by their shape."""

import io
import json

import pytest
from rich.console import Console

from broker.cli.output import Output, mark
from broker.cli.shapes import shape, shape_of_raw


def printed(say: str) -> str:
    stream = io.StringIO()
    output = Output(lang="en", console=Console(file=stream, width=80))
    output.say("", say, sign="✗", strong="[bold]a")
    output.table([("名", "name")], [(say,), (mark(say, "red"),)], title=say)
    return stream.getvalue()


def test_nothing_that_is_printed_is_taken_for_markup() -> None:
    text = printed("[red]x[/red] [/]")
    assert text.count("[red]x[/red] [/]") == 4 and "✗ [bold]a" in text


def test_no_control_character_reaches_the_terminal() -> None:
    assert "\x1b" not in printed("\x1b[2J\x07")


def test_a_shape_holds_no_character_of_the_value() -> None:
    assert shape("张三 99000019900101123X") == "字字 99999999999999999a"
    assert shape(None) == "∅" and shape(7) == "int" and shape(b"x") == "bytes"
    assert shape("9" * 50) == "9" * 40 + "… (50)"
    assert shape("٣\u202ea\x00") == "9·a·"


def test_the_shape_of_a_quarantined_row() -> None:
    line = 'DB12,张三,"ab",2026/01/05\r\n'.encode("gb18030")
    assert shape_of_raw(line, ()) == 'aa99,字字,"aa",9999/99/99'
    cells = json.dumps({"xm": "张三", "csrq": None, "12a": "x"}).encode()
    assert shape_of_raw(cells, ("xm", "csrq")) == "xm=字字 csrq=∅ 99a=a"
    assert shape_of_raw(b"\xff\xff,1", ()) == "··,9"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_table_folds_no_id_and_no_time(width: int) -> None:
    stream = io.StringIO()
    output = Output(lang="en", console=Console(file=stream, width=width))
    row = ("ga_t_rkxx-371502", "2026-06-01 08:00:00", "2026-06-01 08:00:01", "17", "a b " * 40)
    columns = ("source", "last row", "last success", "rows", "reason")
    output.table([("", name) for name in columns], [row, row], spare=["last success"])
    said = stream.getvalue()
    assert max(map(len, said.splitlines())) <= width
    for cell in row[:2]:
        assert said.count(cell) == 2, said
    assert said.count(row[2]) == (0 if width == 80 else 2), "spared, or on a line of its own"
    assert said.split().count("a") == 80 and said.split().count("17") == 2


def test_a_narrow_table_is_told_line_by_line() -> None:
    stream = io.StringIO()
    output = Output(lang="en", console=Console(file=stream, width=30))
    output.table(
        [("", "id"), ("", "a long head"), ("", "c")], [("x" * 20, "y" * 15, ""), ("z", 1, 2)]
    )
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        f"id {'x' * 20}", f"  a long head  {'y' * 15}", "id z", "  a long head  1",
        "  c            2",
    ]  # fmt: skip
