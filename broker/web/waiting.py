"""Waiting for something new in a share.

Law: who waits costs nothing but a place in a set; where a share ends is looked up once a
beat for all who wait for it. Nobody waits beyond the end of his right, or of the process.
"""

import asyncio

import anyio.to_thread

from broker.web.cursor import Cursor
from broker.web.delivery import Delivery
from broker.web.lines import Line
from broker.web.pulse import Pulse
from broker.web.refusal import away


class Waiting:
    """Waits in the loop of the pulse."""

    def __init__(self, pulse: Pulse, delivery: Delivery) -> None:
        self._pulse = pulse
        self._delivery = delivery
        self._ends: dict[str, tuple[int, asyncio.Task[Cursor]]] = {}

    async def more(self, line: Line, cursor: Cursor, seconds: float) -> bool:
        """Whether there is something after the cursor within so many seconds, or the right is
        over; `Refusal` where HTTP is stopped meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not line.over.is_set():
            number = self._pulse.number
            end = await self._end(line, number)
            if cursor.offsets != end.offsets:
                return True
            left = until - loop.time()
            if left <= 0:
                return False
            if self._pulse.number == number:
                await self._pulse.wait(left)
        if line.stopped:
            raise away()
        return True

    async def _end(self, line: Line, number: int) -> Cursor:
        """The end of the line's share, as of a beat or later."""
        name = line.right.share.id
        known = self._ends.get(name)
        if known is None or known[0] != number:
            self._ends = {one: task for one, task in self._ends.items() if task[0] == number}
            look = anyio.to_thread.run_sync(self._delivery.end, line.right)
            known = self._ends[name] = number, asyncio.ensure_future(look)
        return await asyncio.shield(known[1])
