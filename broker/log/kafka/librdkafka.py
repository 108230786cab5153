"""The fast transport: confluent-kafka, which is librdkafka.

Law: see `transport`. The text of a client's error is dropped: its code says enough.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, NoReturn

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from broker.log.interface import Run
from broker.log.kafka.address import (
    ANSWER_SECONDS,
    DELIVERY_SECONDS,
    MESSAGE_BYTES,
    SESSION_MS,
    Address,
)
from broker.log.kafka.refusals import away, fenced, other, unknown
from broker.log.kafka.transport import Consumed, Fetched, Member, Place, Transport

_NOBODY = "shuqiao.none"
"""A group that nobody joins: librdkafka wants a name."""

_AT_ONCE = 1_000_000
"""The most messages that the library is asked for at once."""

_SIZED = 5_000
"""The same where a page is to end after so many bytes."""

_POLL = 0.1
_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.STALE_MEMBER_EPOCH,
}
_LEADERLESS = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._DESTROY_BROKER,
}
"""A partition was just made, or is moving to another broker: this passes."""
_LEADERLESS_PAUSE = 0.05
_HEARD = 1.0
"""Seconds until every broker has heard of a topic that one of them shows."""
_AWAY = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, *_LEADERLESS}
_UNKNOWN = {
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


_SILENT = logging.getLogger("broker.librdkafka")
"""What the library would print to the terminal: its errors are told as ours."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def librdkafka(address: Address) -> Transport:
    """The transport."""
    given = address.librdkafka() | {"logger": _SILENT}
    return Transport(partial(Reading, given), partial(Writing, given), partial(Membered, given))


class Reading:
    """A `Reader`: one consumer that is set to one partition at a time."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        # a broker answers a connection's requests one by one: nothing may wait behind a fetch
        quick = {"fetch.wait.max.ms": 1, "fetch.error.backoff.ms": 50, "fetch.queue.backoff.ms": 5}
        self._given = {
            **given,
            **quick,
            "group.id": _NOBODY,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
        }
        only = {"isolation.level": "read_committed", "enable.partition.eof": True}
        self._committed = Consumer({**self._given, **only})
        self._everything: Consumer | None = None
        self._followed: Consumer | None = None
        self._at: tuple[str, int, int] | None = None

    def read(
        self,
        topic: str,
        partition: int,
        offset: int,
        limit: int,
        *,
        size: int | None = None,
        times: bool = False,
    ) -> Fetched:
        """See `Reader`."""
        end = self.stable_end(topic, partition)
        if offset >= end or limit <= 0:
            return Fetched(offset)
        if self._at != (topic, partition, offset):
            self._committed.assign([TopicPartition(topic, partition, offset)])
        self._at = None
        found = Fetched(offset)
        until = time.monotonic() + ANSWER_SECONDS
        while len(found.offsets) < limit and found.after < end:
            first = self._committed.poll(max(0.0, until - time.monotonic()))
            if first is None:
                raise away()
            more = min(limit - len(found.offsets) - 1, _AT_ONCE if size is None else _SIZED)
            rest = self._committed.consume(more, 0) if not first.error() else ()
            before = len(found.values)
            _take([first, *rest], topic, partition, found, times)
            if len(found.values) > before:
                until = time.monotonic() + ANSWER_SECONDS  # it answers
            if size is not None and (size := size - found.bytes(before)) <= 0:
                break
        if found.after < end:
            self._at = topic, partition, found.after
        else:
            self._committed.unassign()  # nothing to fetch ahead
        return found

    def stable_end(self, topic: str, partition: int) -> int:
        """See `Reader`."""
        return _end(self._committed, topic, partition)

    def high_end(self, topic: str, partition: int) -> int:
        """See `Reader`."""
        return _end(self._uncommitted(), topic, partition)

    def ends(self, places: Sequence[Place], stable: bool) -> list[int]:
        """See `Reader`: the offset for the time "latest" is the end."""
        consumer = self._committed if stable else self._uncommitted()
        return _ends(consumer, places) if places else []

    def _uncommitted(self) -> Consumer:
        if self._everything is None:
            self._everything = Consumer({**self._given, "isolation.level": "read_uncommitted"})
        return self._everything

    def follow(self, topic: str, partitions: int, tell: Callable[[], None], seconds: float) -> None:
        """See `Reader`."""
        if self._followed is None:
            patient = {"fetch.wait.max.ms": 500, "isolation.level": "read_committed"}
            self._followed = Consumer({**self._given, **patient})
            places = [(topic, number) for number in range(partitions)]
            ends = self.ends(places, stable=True)
            self._followed.assign(
                [TopicPartition(*place, end) for place, end in zip(places, ends, strict=True)]
            )
            tell()
        message = self._followed.poll(seconds)
        while message is not None:
            if (error := message.error()) is None:
                tell()
            else:
                refused(error)
            message = self._followed.poll(0)

    def close(self) -> None:
        """See `Reader`."""
        for consumer in (self._committed, self._everything, self._followed):
            if consumer is not None:
                consumer.close()


def _take(messages: list[Any], topic: str, partition: int, found: Fetched, times: bool) -> None:
    """Take over what is of that partition: what was read before may still come, first."""
    others = [one for one in messages if one.error() is not None]
    others += [one for one in messages[:1] if (one.topic(), one.partition()) != (topic, partition)]
    if others:
        messages = [one for one in messages if (one.topic(), one.partition()) == (topic, partition)]
        for one in messages:
            if (error := one.error()) is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    refused(error)
                found.after = max(found.after, one.offset())
        messages = [one for one in messages if one.error() is None]
    if not messages:
        return
    found.offsets += [one.offset() for one in messages]
    found.keys += [one.key() or b"" for one in messages]
    found.values += [one.value() for one in messages]
    if times:
        found.times += [one.timestamp()[1] for one in messages]
    found.after = max(found.after, found.offsets[-1] + 1)


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


@contextmanager
def ours() -> Iterator[None]:
    """Foreign errors become ours."""
    try:
        yield
    except KafkaException as error:
        refused(error.args[0])


def refused(error: KafkaError) -> NoReturn:
    """Our error for theirs."""
    code = error.code()
    if code in _FENCED:
        raise fenced() from None
    if code in _UNKNOWN:
        raise unknown() from None
    if code in _AWAY:
        raise away() from None
    raise other(error.name()) from None


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    place = TopicPartition(topic, partition)
    found = _led(
        lambda: consumer.get_watermark_offsets(place, ANSWER_SECONDS, cached=False),
        lambda: _shown(consumer, [topic]),
    )
    if found is None:
        raise away()
    return int(found[1])


def _ends(consumer: Consumer, places: Sequence[Place]) -> list[int]:
    wanted = [TopicPartition(*place, OFFSET_END) for place in places]

    def ask() -> dict[Place, int]:
        found = consumer.offsets_for_times(wanted, ANSWER_SECONDS)
        if errors := [one.error for one in found if one.error is not None]:
            lasting = [one for one in errors if one.code() not in _LEADERLESS]
            raise KafkaException((lasting or errors)[0])
        return {(one.topic, one.partition): int(one.offset) for one in found}

    ends = _led(ask, lambda: _shown(consumer, {topic for topic, _ in places}))
    return [ends[place] for place in places]


def _led(ask: Callable[[], Any], shown: Callable[[], bool]) -> Any:
    """The answer, once every partition that is asked for has a leader. What the client does not
    know may be there all the same (`shown`), and be heard of a little later."""
    started = time.monotonic()
    while True:
        try:
            return ask()
        except KafkaException as error:
            code, waited = error.args[0].code(), time.monotonic() - started
            lasts = ANSWER_SECONDS if code in _LEADERLESS else _HEARD * (code in _UNKNOWN)
            if waited > lasts and not (code in _UNKNOWN and waited < ANSWER_SECONDS and shown()):
                refused(error.args[0])
            time.sleep(_LEADERLESS_PAUSE)


def _shown(consumer: Consumer, topics: Collection[str]) -> bool:
    """Whether a broker shows these topics; the client hears of what it did not know."""
    with suppress(KafkaException):
        known = consumer.list_topics(timeout=ANSWER_SECONDS).topics
        return all(name in known and known[name].error is None for name in topics)
    return False
