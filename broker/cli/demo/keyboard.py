"""What is typed while the demo goes on: a key at a time, or where there is no terminal, a line.

Law: reading never keeps anything waiting, and the terminal is left as it was found.
"""

import os
import select
import sys
import termios
import threading
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Protocol


class Keyboard(Protocol):
    """Gives what was typed."""

    def read(self, seconds: float) -> str:
        """The next choice, waiting at most so long; empty where there was none."""


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """The keyboard of this process."""
    try:
        handle = sys.stdin.fileno()
        terminal = os.isatty(handle)
    except (OSError, ValueError):
        yield _Lines(None)
        return
    if not terminal:
        yield _Lines(handle)
        return
    before = termios.tcgetattr(handle)
    tty.setcbreak(handle)
    try:
        yield _Keys(handle)
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


class _Keys:
    """A terminal: every key counts at once; what a function key sends is thrown away."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._typed: deque[str] = deque()

    def read(self, seconds: float) -> str:
        """See `Keyboard`."""
        if not self._typed and select.select([self._handle], [], [], seconds)[0]:
            typed = os.read(self._handle, 64).decode("utf-8", "replace")
            if not typed.startswith("\x1b"):
                self._typed.extend(key for key in typed if key.isprintable())
        return self._typed.popleft() if self._typed else ""


class _Lines:
    """A pipe or a file: one choice a line; at its end nothing more is chosen."""

    def __init__(self, handle: int | None) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        if handle is not None:
            threading.Thread(target=self._follow, args=(handle,), daemon=True).start()

    def read(self, seconds: float) -> str:
        """See `Keyboard`."""
        try:
            return self._lines.get(timeout=seconds)
        except Empty:
            return ""

    def _follow(self, handle: int) -> None:
        with open(handle, encoding="utf-8", errors="replace", closefd=False) as typed:
            for line in typed:
                self._lines.put(line.strip())
