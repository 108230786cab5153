"""Keys of a terminal one at a time, lines of a pipe, and the terminal left as it was."""

import os
import pty
import termios
import time
from pathlib import Path

import pytest

from broker.cli.demo.keyboard import Keyboard, keyboard


def read(keys: Keyboard) -> str:
    until = time.monotonic() + 5
    while not (typed := keys.read(0.05)) and time.monotonic() < until:
        pass
    return typed


def test_keys_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with open(slave, encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        before = termios.tcgetattr(slave)
        with keyboard() as keys:
            assert termios.tcgetattr(slave) != before
            assert keys.read(0.01) == ""
            os.write(master, b"14")
            assert read(keys) == "1" and read(keys) == "4"
            os.write(master, b"\x1b[A")
            assert keys.read(0.2) == "", "an arrow is no choice"
            os.write(master, b"q")
            assert read(keys) == "q"
        assert termios.tcgetattr(slave) == before
    os.close(master)


def test_lines_of_a_file_and_nothing_after_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "typed").write_text("1\n12\n\n6", "utf-8")
    with (tmp_path / "typed").open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        with keyboard() as keys:
            assert [read(keys), read(keys)] == ["1", "12"]
            assert keys.read(0.2) == "" and read(keys) == "6"
            assert keys.read(0.05) == ""
