"""What holds for every answer of HTTP, whatever becomes of it."""

import asyncio
import json
from typing import Any

from broker.telemetry import Event
from broker.web.app import Outermost


def stopped_while_it_works(begun: bool) -> list[Any]:
    """What is sent of an answer that is stopped before it is ready."""
    sent: list[Any] = []

    async def run() -> None:
        works = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if begun:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            works.set()
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        outermost = Outermost(app, list[Event]().append)
        task = asyncio.ensure_future(outermost({"type": "http"}, send, send))
        await works.wait()
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(run())
    return sent


def test_what_is_not_begun_when_http_stops_is_answered_503() -> None:
    start, body = stopped_while_it_works(begun=False)
    assert start["status"] == 503 and (b"cache-control", b"no-store") in start["headers"]
    assert json.loads(body["body"])["error_code"] == 50301


def test_what_is_begun_when_http_stops_has_no_end() -> None:
    (start,) = stopped_while_it_works(begun=True)
    assert start["type"] == "http.response.start"
