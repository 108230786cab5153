"""The demo without `--once`: interfered with by number, ended by a signal, or killed."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.city import ROOT

EFFECTS = {
    "1": (r"✓ \[1\] revoked", r"✓ .*topic was deleted", r"410 after", "403 to who begins again"),
    "2": (r"\n    rules:\n", r"✓ \[2\] old share", r"narrower"),
    "3": (
        r"\[3\] public security",
        r"✓ .*grid_dongchangfu: a tombstone",
        r"✓ .*grid_shenxian: the",
    ),
    "4": (
        r"✓ \[4\] relay-1 \(\d+\) was killed; relay-2 had every dataset after",
        r"✓ \[4\] reconcile: 6 shares",
    ),
    "5": (r"✓ \[5\] reconcile: 6 shares",),
    "6": (r"✓ \[6\] tightened rules removed: 1", r"✓ \[6\] granted again mz_verify"),
}


class Demo:
    """A demo under way, with what it has said so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)

    def says(self, *patterns: str, since: int = 0, seconds: float = 60) -> None:
        """Wait until each is said."""
        until = time.monotonic() + seconds
        while True:
            text = "".join(self.lines[since:])
            missing = [one for one in patterns if not re.search(one, text)]
            if not missing:
                return
            assert time.monotonic() < until, (missing, text[-3000:])
            time.sleep(0.05)

    def type(self, choice: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{choice}\n")
        self.process.stdin.flush()

    def children(self) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(one) for one in found.stdout.split()]

    def ended(self, seconds: float = 40) -> str:
        """Wait for its end; all it has said."""
        self.process.wait(seconds)
        self._reader.join(5)
        return "".join(self.lines)


@contextmanager
def going_on(folder: Path) -> Iterator[Demo]:
    running = subprocess.Popen(
        [sys.executable, "-m", "broker.cli.main", "--lang", "en", "demo", "--people", "200",
         "--state", str(folder / "demo")],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    demo = Demo(running)
    try:
        demo.says(r"0 behind", seconds=90)
        yield demo
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def alive(number: int) -> bool:
    """Whether it runs; one that has ended and waits to be fetched does not."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()[:1] not in ("", "Z")


def gone(numbers: list[int], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while any(alive(one) for one in numbers) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(alive(one) for one in numbers)


def test_every_number_has_its_effect_and_it_ends_exact(tmp_path: Path) -> None:
    with going_on(tmp_path) as demo:
        demo.says(r'\$ curl .* "http://127.0.0.1:\d+/v1/.*\?limit=2"\n')
        for number, effects in EFFECTS.items():
            since = len(demo.lines)
            demo.type(number)
            demo.says(*effects, "Why it matters", since=since)
        since = len(demo.lines)
        demo.type("3")
        cause, lost, got = "public security: .* moves", "grid_shenxian: a tomb", "fu: the record"
        demo.says(f"(?s){cause}.*collected after.*{lost}.*{got}", since=since)
        demo.type("9")
        demo.says("there is no '9'")
        children = demo.children()
        assert len(children) == 5
        demo.process.send_signal(signal.SIGINT)
        said = demo.ended()
        assert demo.process.returncode == 0, said[-2000:]
        assert "Traceback" not in said and "✗" not in said
        assert re.search(r"✓ reconcile: 7 shares, \d+ records, equal", said.splitlines()[-1])
        assert gone(children, 0)
        for log in (tmp_path / "demo" / "processes").glob("*.log"):
            assert "Traceback" not in log.read_text("utf-8")


def test_a_role_that_is_killed_from_outside_is_started_again(tmp_path: Path) -> None:
    with going_on(tmp_path) as demo:
        before = demo.children()
        os.kill(before[0], signal.SIGKILL)
        demo.says(r"ended \(kill -9\) and was started again")
        demo.type("q")
        assert "✓ reconcile" in demo.ended() and demo.process.returncode == 0


def test_no_child_outlives_a_demo_that_was_killed(tmp_path: Path) -> None:
    with going_on(tmp_path) as demo:
        children = demo.children()
        assert len(children) >= 4
        demo.process.kill()
        demo.process.wait()
        assert gone(children)
