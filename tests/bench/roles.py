"""Roles as processes of their own, over one state folder.

Law: whatever happens, a process that was started here is ended by its id.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests import city

COMMANDS = {
    "connect": ("connect", "run", "--follow"),
    "relay": ("relay", "--follow"),
    "controller": ("controller",),
    "serve": ("serve",),
    "up": ("up",),
}
APART = ("connect", "relay", "controller", "serve")
_SHUQIAO = Path(sys.executable).with_name("shuqiao")
_ENDING = 15
_NUMBERS = count()


class Running:
    """A role's process, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._said = said

    def said(self) -> str:
        """Everything it has written so far; an error where it has ended."""
        text = self._said.read_text("utf-8", "replace")
        if self._process.poll() is not None:
            raise RuntimeError(f"a role has ended: {text[-500:]}")
        return text

    @property
    def url(self) -> str:
        """Where it can be reached; empty until it has said so."""
        found = re.search(r"http://[\d.]+:\d+(?=/v1)", self.said())
        return found[0] if found else ""


@contextmanager
def running(folder: Path, *names: str, **settings: int | str) -> Iterator[dict[str, Running]]:
    """The named roles, each started and ready, until the block ends."""
    environment = {
        **os.environ,
        "SHUQIAO_STATE": str(folder),
        "SHUQIAO_HTTP_PORT": "0",
        "SHUQIAO_METRICS_PORT": "0",
        "SHUQIAO_HTTP_REQUESTS_PER_MINUTE": "1000000",
        **{f"SHUQIAO_{name.upper()}": str(value) for name, value in settings.items()},
    }
    with ExitStack() as stack:
        found = {name: stack.enter_context(_process(name, folder, environment)) for name in names}
        for name, one in found.items():
            serves = name in ("serve", "up")
            until(lambda one=one, s=serves: one.url if s else "running" in one.said(), 60)
        yield found


@contextmanager
def _process(name: str, folder: Path, environment: dict[str, str]) -> Iterator[Running]:
    said = folder / f"said-{name}-{next(_NUMBERS)}.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [str(_SHUQIAO), "--lang", "en", *COMMANDS[name]],
            cwd=city.ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield Running(process, said)
    finally:
        process.terminate()
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(says: Callable[[], Any], seconds: float) -> float:
    """Wait until it says yes; how long that took."""
    started = time.perf_counter()
    while not says():
        if time.perf_counter() - started > seconds:
            raise TimeoutError("it did not come to pass")
        time.sleep(0.02)
    return time.perf_counter() - started
