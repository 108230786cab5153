"""A stream ends with its right, and what is not whole never looks whole."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from broker.sharing.keys import ApiKey
from broker.telemetry import Event
from broker.web.lines import Lines
from broker.web.refusal import Refusal, share_is_over
from broker.web.rights import Right
from broker.web.stream import Stream


class Line:
    """The lines of a stream, which note what becomes of it."""

    def __init__(self) -> None:
        self.happened: list[Any] = []

    @contextmanager
    def opened(self, right: Any, client: Any) -> Iterator["Line"]:
        yield self
        self.happened.append("closed")

    async def left(self, line: "Line") -> None:
        self.happened.append("left")

    def cut(self, line: "Line", reason: str) -> None:
        self.happened.append(f"cut: {reason}")


def streamed(words: bytes, refusal: Refusal | None = None) -> list[Any]:
    """What happens to a stream of two pieces, the second of which may be refused."""
    lines = Line()

    async def pieces(line: Any) -> AsyncIterator[bytes]:
        yield b"one"
        if refusal:
            raise refusal
        yield b"two"

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            lines.happened.append(message["body"] if message["more_body"] else "end")

    stream = Stream(
        pieces,
        lines,
        None,
        lambda error: words,
        media_type="text/plain",
        headers={},  # type: ignore[arg-type]
    )
    asyncio.run(stream({"type": "http"}, receive, send))
    return lines.happened


def test_a_line_is_open_until_everything_has_left() -> None:
    assert streamed(b"words") == [b"one", b"two", "left", "closed", "end"]


@pytest.mark.parametrize("words", [b"words", b""])
def test_what_is_refused_in_the_middle_has_no_end(words: bytes) -> None:
    told = [words, "left"] if words else ["cut: right_ended"]
    assert streamed(words, share_is_over("d")) == [b"one", *told, "closed"]


def test_the_limit_of_open_lines_is_a_consumers_own() -> None:
    def right(consumer: str) -> Right:
        return Right(ApiKey(f"key of {consumer}", consumer, ""), None)  # type: ignore[arg-type]

    lines = Lines(None, None, None, 1, list[Event]().append)  # type: ignore[arg-type]
    with lines.opened(right("a"), ("h", 1)):
        with pytest.raises(Refusal, match="too many"), lines.opened(right("a"), ("h", 2)):
            pass
        try:
            with lines.opened(right("b"), ("h", 3)):
                pass
        except Refusal:
            raise AssertionError("others go on") from None
    with lines.opened(right("a"), ("h", 4)):
        pass
