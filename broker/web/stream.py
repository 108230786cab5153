"""A response that leaves piece by piece, for as long as its right holds.

Law: each piece is made when the one before has been taken, and the line is open until all of
them have left. Where the stream ends before its end, it says so in its own form, or is cut
where that has no words for it: what was broken off never looks whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from broker.errors import ShuQiaoError
from broker.web.lines import PATIENCE, Line, Lines
from broker.web.refusal import Refusal, away
from broker.web.rights import Right

Pieces = Callable[[Line], AsyncIterator[bytes]]
LastWords = Callable[[Mapping[str, object]], bytes]


class Stream(Response):
    """The pieces of a share, on a line of its own."""

    def __init__(
        self,
        pieces: Pieces,
        lines: Lines,
        right: Right,
        last_words: LastWords,
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)
        self._pieces = pieces
        self._lines = lines
        self._right = right
        self._last_words = last_words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            with self._lines.opened(self._right, scope.get("client")) as line:
                try:
                    whole = await self._until_gone(line, receive, send)
                except BaseException:
                    self._lines.cut(line, "broken_off")
                    raise
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
            return
        if whole:  # otherwise without an end: the server breaks the connection off
            await send(_body(b"", more=False))

    async def _until_gone(self, line: Line, receive: Receive, send: Send) -> bool:
        """Send until everything has left or the client has gone; whether all has left."""
        leaving = asyncio.ensure_future(self._leave(line, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({leaving, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            leaving.cancel()
            with suppress(asyncio.CancelledError):
                await leaving
        return not leaving.cancelled() and leaving.result()

    async def _leave(self, line: Line, send: Send) -> bool:
        """Send every piece; whether all has left."""
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await _taken(send, start)
            refusal = await self._refusal(line, send)
            words = self._last_words(refusal.body()) if refusal else b""
            if refusal and not words:
                self._lines.cut(line, "away" if refusal.status == 503 else "right_ended")
                return False
            if words:
                await _taken(send, _body(words, more=True))
            await self._lines.left(line)
        except TimeoutError:
            self._lines.cut(line, "not_taken")
            return False
        return refusal is None

    async def _refusal(self, line: Line, send: Send) -> Refusal | None:
        """Send the pieces; what was said against one of them, if anything."""
        try:
            async for piece in self._pieces(line):
                if piece:
                    await _taken(send, _body(piece, more=True))
        except (Refusal, ShuQiaoError) as error:
            return error if isinstance(error, Refusal) else away()
        return None


def _body(piece: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _taken(send: Send, message: dict[str, Any]) -> None:
    """Send, and wait until the client has taken most of what was sent before."""
    await asyncio.wait_for(send(message), PATIENCE)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
