"""Writing in transactions."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from broker.log.interface import Run
from broker.log.kafka.address import ANSWER_SECONDS, DELIVERY_SECONDS, MESSAGE_BYTES
from broker.log.kafka.librdkafka.refused import ours, refused
from broker.log.kafka.refusals import away
from broker.log.kafka.transport import Consumed


class Writing:
    """A `Writer`."""

    def __init__(self, given: Mapping[str, Any], name: str) -> None:
        self._failed: list[KafkaError] = []
        self._shaken = False
        self._producer = Producer(
            {
                **given,
                "transactional.id": name,
                "transaction.timeout.ms": DELIVERY_SECONDS * 1_000,
                "message.timeout.ms": DELIVERY_SECONDS * 1_000,
                "message.max.bytes": MESSAGE_BYTES,
                "linger.ms": 2,
                "retry.backoff.ms": 5,  # the last transaction may still be ending: see there again
                "compression.type": "lz4",
                "delivery.report.only.error": True,
                "allow.auto.create.topics": False,
                "on_delivery": self._told,
                "error_cb": self._shake,
                "queue.buffering.max.messages": 500_000,
            }
        )
        with ours():
            self._producer.init_transactions(ANSWER_SECONDS)

    def _told(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._failed.append(error)

    def _shake(self, error: KafkaError) -> None:
        """A connection was lost. When its group's coordinator comes back, librdkafka's producer
        may never send it a transaction's offsets, and wait for ever."""
        self._shaken = True

    def usable(self) -> bool:
        """See `Writer`."""
        self._producer.poll(0)
        return not self._shaken

    def land(self, runs: Iterable[Run], consumed: Consumed | None = None) -> None:
        """See `Writer`."""
        self._failed.clear()
        now = time.time_ns() // 1_000_000
        with ours():
            self._producer.begin_transaction()
        try:
            for run in runs:
                self._send(run, now)
            if consumed is not None:
                offsets = [TopicPartition(*one, at) for one, at in consumed.offsets.items()]
                self._producer.send_offsets_to_transaction(offsets, consumed.who, ANSWER_SECONDS)
            self._commit()
        except KafkaException as error:
            why = self._failed[0] if self._failed else error.args[0]  # aborting fails all the rest
            self._abort()
            refused(why)
        except BaseException:
            self._abort()
            raise

    def _send(self, run: Run, now: int) -> None:
        topic, partition, keys, values = run
        produce = self._producer.produce
        for key, value in zip(keys, values, strict=True):
            try:
                # by position: names cost an eighth of the call
                produce(topic, value, key, partition, None, None, now)
            except BufferError:
                self._send_slowly(topic, value, key, partition, now)

    def _send_slowly(
        self, topic: str, value: bytes | None, key: bytes, partition: int, now: int
    ) -> None:
        """The queue is full: wait until there is room."""
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            self._producer.poll(0.05)
            with suppress(BufferError):
                self._producer.produce(topic, value, key, partition, timestamp=now)
                return
        raise away()

    def _commit(self) -> None:
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                self._producer.commit_transaction(max(0.1, until - time.monotonic()))
                return
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > until:
                    raise

    def _abort(self) -> None:
        with suppress(KafkaException):  # who was fenced, or is cut off, cannot; nothing lands
            self._producer.abort_transaction(ANSWER_SECONDS)

    def close(self) -> None:
        """See `Writer`."""
        with suppress(KafkaException):
            self._producer.flush(0)
