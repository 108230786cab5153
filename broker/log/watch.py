"""Waking readers: in this process at once, on another process's commit within milliseconds.

Law: nobody polls while nobody waits; one thread polls for all who wait in a process. A look
that fails is told to whoever asks next; those who wait then hear of what comes afterwards.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from broker.errors import ShuQiaoError

POLL = 0.02
"""Seconds between two looks for another process's commit."""

QUIET_POLL = 0.04
"""The same after a second without any: waking is what an idle process pays for."""

_QUIET = 1.0

_LINGER = 5.0
"""Seconds the thread goes on after the last reader has stopped waiting."""


class Changes:
    """Counts changes, and wakes whoever waits for one."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._changes = 0
        self._closed = False

    def changed(self) -> None:
        """There is one more."""
        with self._condition:
            self._changes += 1
            self._condition.notify_all()

    def _until_changed(self, seen: int, until: float) -> int:
        """Return, with the condition held, when there are changes beyond `seen`, or then."""
        while self._changes == seen and not self._closed:
            left = until - time.monotonic()
            if left <= 0:
                break
            self._condition.wait(left)
        return self._changes

    def close(self) -> None:
        """Wake everybody; nobody waits any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class Watch(Changes):
    """`look` says what state the file is in; a new state is a change, and so is a commit of
    this process."""

    def __init__(self, look: Callable[[], int]) -> None:
        super().__init__()
        self._look = look
        self._waiting = 0
        self._seen: int | None = None
        self._running = False

    def changes(self) -> int:
        """A number that grows with every change that was noticed."""
        with self._condition:
            if not self._running:
                self._notice()
            return self._changes

    def wait(self, seen: int, timeout: float) -> int:
        """Return when there are changes beyond `seen`, or after `timeout` seconds."""
        until = time.monotonic() + timeout
        with self._condition:
            self._notice()
            self._waiting += 1
            try:
                self._run()
                return self._until_changed(seen, until)
            finally:
                self._waiting -= 1

    def _notice(self) -> None:
        state = self._look()
        if state != self._seen:
            self._changes += self._seen is not None
            self._seen = state
            self._condition.notify_all()

    def _run(self) -> None:
        if not self._running and not self._closed:
            self._running = True
            threading.Thread(target=self._poll, name="log-watch", daemon=True).start()

    def _poll(self) -> None:
        idle_since: float | None = None
        seen, seen_at = self._changes, time.monotonic()
        while True:
            time.sleep(POLL if time.monotonic() - seen_at < _QUIET else QUIET_POLL)
            with self._condition:
                self._running = False  # also after an error: who waits next begins anew
                now = time.monotonic()
                if self._changes != seen:
                    seen, seen_at = self._changes, now
                idle_since = None if self._waiting else idle_since or now
                idle = idle_since is not None and now - idle_since > _LINGER
                if self._closed or idle:
                    return
                with suppress(ShuQiaoError):  # who waits next looks himself, and is told
                    self._notice()
                self._running = True
