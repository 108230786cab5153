"""A member of the relay's group."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from broker.log.interface import Place
from broker.log.kafka.address import ANSWER_SECONDS, SESSION_MS
from broker.log.kafka.librdkafka.refused import ours
from broker.log.kafka.transport import Member

_POLL = 0.1


class Membered(Member):
    """A `Member`: a consumer that fetches nothing.

    Its thread alone touches the consumer: asked for its metadata by another while it polls,
    librdkafka never answers.
    """

    def __init__(self, given: Mapping[str, Any], group: str, topics: Sequence[str]) -> None:
        super().__init__()
        self._consumer = Consumer(
            {
                **given,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
                "isolation.level": "read_committed",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 4,
                "partition.assignment.strategy": "roundrobin",
                "topic.metadata.refresh.interval.ms": 2_000,
                "allow.auto.create.topics": False,
            }
        )
        self._metadata: Any = None
        self._asked: SimpleQueue[tuple[Place, Future[None]]] = SimpleQueue()
        self._consumer.subscribe(
            list(topics), on_assign=self._given, on_revoke=self._taken, on_lost=self._taken
        )
        self._thread.start()

    def _stay(self) -> None:
        while not self._closed.is_set():
            self._consumer.poll(_POLL)
            self._metadata = self._consumer.consumer_group_metadata()
            while not self._asked.empty():
                place, answer = self._asked.get()
                try:
                    self._consumer.committed([TopicPartition(*place)], timeout=ANSWER_SECONDS)
                    answer.set_result(None)
                except KafkaException as error:
                    answer.set_exception(error)
        self._consumer.close()

    def _given(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.assign(places)
        consumer.pause(places)
        self._metadata = consumer.consumer_group_metadata()  # before anything counts as ours
        self._given_out(places)

    def _taken(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self._taken_away()
        consumer.unassign()

    def settled(self, place: Place) -> None:
        """See `Member`."""
        answer: Future[None] = Future()
        self._asked.put((place, answer))
        with ours():
            answer.result(2 * ANSWER_SECONDS)

    def metadata(self) -> Any:
        """See `Member`."""
        return self._metadata
