"""Open connections that carry a share, and how one is ended at once.

Law: a line ends within two seconds of its right, whatever its client does: asked first,
then cut with everything that has not left yet. It is open until everything has left. A line
that cannot be judged (whatever the reason) is ended as well. A client that takes nothing for
`PATIENCE` seconds, or asks nothing after it has connected or was answered, is cut.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
from uvicorn.protocols.http.h11_impl import H11Protocol

from broker.errors import ShuQiaoError
from broker.sharing.service import Sharing
from broker.telemetry import Event, LineEnded, RequestFailed
from broker.web.pulse import Pulse
from broker.web.refusal import away, too_many
from broker.web.rights import Right, Rights
from broker.web.unsent import drop, unsent

LOOK = 0.25
"""Seconds between two looks at the rights of open lines."""

GRACE = 0.5
"""Seconds a line has to say why it ends, before it is cut."""

BLIND = 1.0
"""Seconds for which the rights may be unknown before lines are ended."""

PATIENCE = 30.0
"""Seconds in which a client must take what is sent, and in which it must ask (again)."""

_UNSENT = 1 << 16
"""Bytes that may wait for a slow client in this process, and about as many in the kernel."""


_FIRST_PAUSE = 0.001
"""Seconds between the first two looks whether everything has left: it mostly has."""


@dataclass(slots=True, eq=False)
class Line:
    """One open stream or waiting request; `over` is set once it is to end, `stopped` where
    that is because HTTP is stopped."""

    right: Right
    client: Any
    over: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False


class Lines:
    """Every open line of this process. `limit` is how many one consumer may have."""

    def __init__(
        self,
        sharing: Sharing,
        rights: Rights,
        pulse: Pulse,
        limit: int,
        emit: Callable[[Event], None],
    ) -> None:
        self._sharing = sharing
        self._rights = rights
        self._pulse = pulse
        self._limit = limit
        self._emit = emit
        self._open: set[Line] = set()
        self._transports: dict[Any, asyncio.Transport] = {}
        self._stopped = False

    @contextmanager
    def opened(self, right: Right, client: Any) -> Iterator[Line]:
        """A line, open until the block ends; `Refusal` where the consumer has too many, or HTTP
        is stopped."""
        if self._stopped:
            raise away()
        mine = sum(one.right.key.consumer == right.key.consumer for one in self._open)
        if mine >= self._limit:
            raise too_many("streams at once", wait=5)
        line = Line(right, tuple(client))
        self._open.add(line)
        try:
            yield line
        finally:
            self._open.discard(line)

    def stop(self) -> None:
        """End whoever waits: HTTP is stopped."""
        self._stopped = True
        for line in self._open:
            line.stopped = True
            line.over.set()
        self._pulse.beat()

    def cut(self, line: Line, reason: str) -> None:
        """End the connection now; what has not left does not leave. It is told once it is ended:
        the event loop closes what is dropped before it runs what is asked of it later."""
        key, share = line.right.key, line.right.share
        transport = self._transports.get(line.client)
        if transport is not None:
            drop(transport)
        told = LineEnded(reason=reason, share=share.id, consumer=key.consumer)
        asyncio.get_running_loop().call_soon(self._emit, told)

    async def left(self, line: Line) -> None:
        """Return when everything has left; `TimeoutError` where the client takes nothing."""
        loop = asyncio.get_running_loop()
        transport = self._transports.get(line.client)
        least, until, pause = sys.maxsize, loop.time(), _FIRST_PAUSE
        while transport is not None and (now := unsent(transport)):
            if now < least:
                least, until = now, loop.time() + PATIENCE
            elif loop.time() > until:
                raise TimeoutError
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOOK)

    async def watch(self) -> None:
        """Look at the rights again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        seen: object = None
        known = loop.time()
        own = anyio.CapacityLimiter(1)  # never behind those who read
        while True:
            await asyncio.sleep(LOOK)
            lines = [line for line in self._open if not line.over.is_set()]
            if not lines:
                known, seen = loop.time(), None
                continue
            failed: Exception | None = None
            try:
                look = anyio.to_thread.run_sync(
                    self._over, lines, seen, abandon_on_cancel=True, limiter=own
                )
                # one opened meanwhile is judged by its first batch
                seen, over = await asyncio.wait_for(look, BLIND)
                known = loop.time()
            except Exception as error:  # noqa: BLE001  whatever it is, the watching goes on
                failed, over = error, lines if loop.time() - known >= BLIND else []
            for line in over:
                line.over.set()
                loop.call_later(GRACE, self._cut_if_open, line)
            if over:
                self._pulse.beat()
            if failed is not None and not isinstance(failed, ShuQiaoError | TimeoutError):
                self._emit(RequestFailed(error=type(failed).__name__))

    def protocol(self) -> type[H11Protocol]:
        """The server's protocol, whose connections can be cut."""
        transports = self._transports

        class Connection(H11Protocol):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                transports[self.client] = transport
                transport.set_write_buffer_limits(high=_UNSENT)
                raw = transport.get_extra_info("socket")
                if raw is not None:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
                self._asks = self.loop.call_later(PATIENCE, self._silent)

            def connection_lost(self, exc: Exception | None) -> None:
                self._asks.cancel()
                transports.pop(self.client, None)
                super().connection_lost(exc)

            def on_response_complete(self) -> None:
                # the server's own patience ends with the first byte of another request
                self._asks.cancel()
                self._asks = self.loop.call_later(PATIENCE, self._silent)
                super().on_response_complete()

            def _silent(self) -> None:
                if self.cycle is None or self.cycle.response_complete:
                    drop(self.transport)

        return Connection

    def _over(self, lines: list[Line], seen: object) -> tuple[object, list[Line]]:
        """The state of sharing, and the lines whose right has ended since the state seen."""
        now = self._sharing.revision()
        if now == seen:
            return seen, []
        ended = self._rights.ended(line.right for line in lines)
        return now, [line for line in lines if (line.right.key.id, line.right.share.id) in ended]

    def _cut_if_open(self, line: Line) -> None:
        if line in self._open:
            self.cut(line, "right_ended")
