"""A reader of Kafka waits for a broker that is slow, and not for ever for one that is lost."""

from typing import Any

import pytest

from broker.errors import LogError
from broker.log.kafka.address import ANSWER_SECONDS
from broker.log.kafka.librdkafka import reading
from broker.log.kafka.librdkafka.reading import Reading


class Clock:
    """Time that passes where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Message:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"


class Consumer:
    """Has a message every four seconds, and after `most` none any more."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._next = 0
        self.waits: list[float] = []

    def assign(self, places: Any) -> None: ...

    def unassign(self) -> None: ...

    def consume(self, count: int, seconds: float) -> list[Message]:
        return []

    def poll(self, seconds: float) -> Message | None:
        self.waits.append(seconds)
        if self._next == self._most:
            self._clock.now += seconds
            return None
        self._clock.now += 4.0
        self._next += 1
        return Message(self._next - 1)


@pytest.mark.parametrize("most", [10, 7])
def test_a_page_that_comes_in_pieces_has_its_patience_for_each(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A negative patience is none for librdkafka: it would wait for ever."""
    clock = Clock()
    monkeypatch.setattr(reading, "time", clock)
    monkeypatch.setattr(reading, "_end", lambda *given: 10)
    reader = Reading.__new__(Reading)
    reader._committed = consumer = Consumer(clock, most)  # type: ignore[assignment]
    reader._at = None
    if most == 10:
        assert list(reader.read("t", 0, 0, 10).offsets) == list(range(10))
    else:
        with pytest.raises(LogError):
            reader.read("t", 0, 0, 10)
    assert set(consumer.waits) == {ANSWER_SECONDS}
