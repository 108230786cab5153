"""kafka-python's writer: nothing is committed of which a part was not taken."""

from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from broker.errors import LogError
from broker.log.interface import Run
from broker.log.kafka.pure import Writing


class Sent:
    """What became of a record."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def get(self, timeout: float) -> None:
        if self._error is not None:
            raise self._error


class Producer:
    """The library's producer, of which some sends expire while the coordinator answers."""

    def __init__(self, expiring: int) -> None:
        self._expiring = expiring
        self.calls: list[str] = []

    def send(self, topic: str, value: bytes, **words: Any) -> Sent:
        return Sent(KafkaTimeoutError() if words["partition"] == self._expiring else None)

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **more: self.calls.append(name)


@pytest.mark.parametrize(("expiring", "ends"), [(1, "abort"), (-1, "commit")])
def test_a_send_that_expires_alone_aborts_all(expiring: int, ends: str) -> None:
    """The others are taken, and the coordinator would commit."""
    writer = Writing.__new__(Writing)
    writer._producer = producer = Producer(expiring)
    batch = [Run("a", number, [b"k"], [b"v"]) for number in range(3)]
    if ends == "abort":
        with pytest.raises(LogError, match="cannot be reached"):
            writer.land(batch)
    else:
        writer.land(batch)
    assert producer.calls == ["begin_transaction", "flush", f"{ends}_transaction"]
