"""Waking whoever waits for something new in the log.

Law: one thread waits for all; who is woken looks for himself. Of many commits in quick
succession only some are told, at most `MOST` a second. Where the log cannot be looked at,
that is tried again until it can.
"""

import asyncio
import threading
from contextlib import suppress

from broker.log.interface import Log

MOST = 20
"""Wakings a second."""

_LOOK = 0.5


class Pulse:
    """Make in the loop of those who wait; `run` in a thread until `stop`. `number` counts."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._next = asyncio.Event()
        self.number = 0

    def run(self, stop: threading.Event) -> None:
        """Tell of the log's commits until `stop` is set."""
        seen = -1  # one beat too many costs nothing
        while not stop.is_set():
            try:
                now = self._log.wait(seen, _LOOK)
            except Exception:  # noqa: BLE001  those who ask the log hear what is wrong
                stop.wait(_LOOK)
                continue
            if now != seen:
                seen = now
                self._loop.call_soon_threadsafe(self.beat)
                stop.wait(1 / MOST)

    def beat(self) -> None:
        """Wake everybody who waits; in the loop."""
        self.number += 1
        beaten, self._next = self._next, asyncio.Event()
        beaten.set()

    async def wait(self, seconds: float) -> None:
        """Return when something may be new, or after so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._next.wait(), seconds)
