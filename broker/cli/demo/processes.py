"""The demo's roles, each a process of its own, kept going.

Law: what ends by itself is started again after a pause that grows, and is told; only what
was started here is ended here, by its id. What a process says goes into a file.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from broker.errors import SettingsError
from broker.private_file import open_private

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_GOOD_WHILE = 30.0
"""Seconds after which an end is a new trouble, not the old one."""

_PATIENCE = 8.0
"""Seconds that a process has to end when asked."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "connect": ("connect", "run", "--follow"),
    "relay-1": ("relay", "--follow"),
    "relay-2": ("relay", "--follow"),
    "controller": ("controller",),
    "serve": ("serve",),
}
"""Command by the name of the process."""


@dataclass
class _Kept:
    words: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    again_at: float = 0.0


@dataclass
class Processes:
    """The roles' processes. `folder` takes their output; `environment` is beside our own;
    `tell` hears (name, how it ended, id of the process that was started in its place)."""

    folder: Path
    environment: Mapping[str, str]
    tell: Callable[[str, int, int], None]
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Start these roles, where they were not started yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if name not in self._kept:
                self._kept[name] = _Kept(ROLES[name])
                self._run(name)

    def look(self) -> None:
        """Start again what has ended; call a few times a second."""
        now = time.monotonic()
        for name, kept in self._kept.items():
            if kept.process is None or kept.process.poll() is None:
                continue
            if not kept.again_at:
                if now - kept.started > _GOOD_WHILE:
                    kept.pause = _FIRST_PAUSE
                kept.again_at = now + kept.pause
                kept.pause = min(kept.pause * 2, _LONGEST_PAUSE)
            elif now >= kept.again_at:
                ended = kept.process.returncode
                self._run(name)
                self.tell(name, ended, kept.process.pid)

    def ids(self) -> dict[str, int]:
        """Process id by name, in the order of `ROLES`; 0 where none runs now."""
        started = ((name, self._kept[name].process) for name in ROLES if name in self._kept)
        return {
            name: process.pid if process and process.poll() is None else 0
            for name, process in started
        }

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._kept[name].process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """Ask all to end, wait for them, and end those that do not."""
        started = [kept.process for kept in self._kept.values() if kept.process]
        running = [process for process in started if process.poll() is None]
        for process in running:
            process.terminate()
        until = time.monotonic() + _PATIENCE
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, name: str) -> None:
        kept = self._kept[name]
        flags = os.O_WRONLY | os.O_APPEND
        output_path = self.folder / f"{name}.log"
        handle = open_private(output_path, flags, SettingsError, "a process's output")
        with os.fdopen(handle, "ab") as output:
            kept.process = subprocess.Popen(
                [sys.executable, "-m", "broker.cli.demo.child", str(os.getpid()), *kept.words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C is the demo's alone
            )
        kept.started, kept.again_at = time.monotonic(), 0.0


def free_port(wished: int) -> int:
    """The wished loopback port where it is free, another one where it is not."""
    for port in (wished, 0):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(tried.getsockname()[1])
    return 0
