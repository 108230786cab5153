"""The transport in Python alone: kafka-python, for processors that have no librdkafka.

Law: see `transport`. kafka-python commits a transaction one of whose sends has expired: every
send is asked for before the commit.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from kafka import (
    ConsumerRebalanceListener,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    InvalidProducerEpochError,
    InvalidProducerIdMappingError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    StaleMemberEpochError,
    UnknownMemberIdError,
    UnknownTopicOrPartitionError,
)

from broker.log.interface import Place, Run
from broker.log.kafka.address import (
    ANSWER_SECONDS,
    DELIVERY_SECONDS,
    MESSAGE_BYTES,
    SESSION_MS,
    Address,
)
from broker.log.kafka.admin import making_none
from broker.log.kafka.refusals import away, fenced, other, unknown
from broker.log.kafka.transport import Consumed, Fetched, Member, Transport

_POLL_MS = 100
_FETCH_MS = 5
"""How long one poll waits: where only markers are left it sees no record."""
_HEARD = 3.0
"""Seconds until every broker has heard of a topic that one of them shows."""
_PAUSE = 0.05
_FENCED = (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    InvalidProducerEpochError,
    InvalidProducerIdMappingError,
    ProducerFencedError,
    StaleMemberEpochError,
    UnknownMemberIdError,
)


def pure(address: Address) -> Transport:
    """The transport."""
    return Transport(
        lambda: Reading(address.pure()),
        lambda name: Writing(address.pure(), name),
        lambda group, topics: Membered(address.pure(), group, topics),
    )


class Reading:
    """A `Reader`: one consumer that is set to one partition at a time."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {
            **given,
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "fetch_max_wait_ms": 1,
        }
        with ours():
            self._committed = making_none(
                KafkaConsumer(**self._given, isolation_level="read_committed")
            )
        self._everything: KafkaConsumer | None = None
        self._followed: KafkaConsumer | None = None
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
        place = TopicPartition(topic, partition)
        found = Fetched(offset)
        until = time.monotonic() + ANSWER_SECONDS
        with ours():
            if self._at != (topic, partition, offset):
                self._committed.assign([place])
                self._committed.seek(place, offset)
            self._at = None
            while len(found.offsets) < limit and found.after < end:
                most = limit - len(found.offsets)
                page = self._committed.poll(_FETCH_MS, max_records=most).get(place, ())
                found.offsets += [one.offset for one in page]
                found.keys += [one.key or b"" for one in page]
                found.values += [one.value for one in page]
                found.times += [one.timestamp for one in page]
                found.after = self._committed.position(place)
                took = found.bytes(len(found.values) - len(page))
                if size is not None and (size := size - took) <= 0:
                    break
                if time.monotonic() > until:
                    raise away()
        self._at = topic, partition, found.after
        return found

    def ranges(self, wanted: Mapping[Place, tuple[int, int]], size: int) -> dict[Place, Fetched]:
        """See `Reader`: none."""
        return {}

    def stable_end(self, topic: str, partition: int) -> int:
        """See `Reader`."""
        return _end(self._committed, topic, partition)

    def high_end(self, topic: str, partition: int) -> int:
        """See `Reader`."""
        return _end(self._uncommitted(), topic, partition)

    def ends(self, places: Sequence[Place], stable: bool) -> list[int]:
        """See `Reader`."""
        wanted = [TopicPartition(*place) for place in places]
        consumer = self._committed if stable else self._uncommitted()
        until = time.monotonic() + _HEARD
        while True:
            try:
                with ours():
                    found = consumer.end_offsets(wanted) if wanted else {}
                return [int(found[place]) for place in wanted]
            except KeyError:  # the library's own, for a partition that its broker has not heard of
                if time.monotonic() > until:
                    raise unknown() from None
                time.sleep(_PAUSE)

    def _uncommitted(self) -> KafkaConsumer:
        if self._everything is None:
            with ours():
                self._everything = making_none(KafkaConsumer(**self._given))
        return self._everything

    def follow(self, topic: str, partitions: int, tell: Callable[[], None], seconds: float) -> None:
        """See `Reader`."""
        with ours():
            if self._followed is None:
                # the broker answers as soon as there is something: asking more often costs both
                patient = {"fetch_max_wait_ms": 500, "isolation_level": "read_committed"}
                self._followed = making_none(KafkaConsumer(**{**self._given, **patient}))
                places = [TopicPartition(topic, number) for number in range(partitions)]
                ends = self._followed.end_offsets(places)
                self._followed.assign(places)
                for place in places:
                    self._followed.seek(place, ends[place])
                tell()
            if self._followed.poll(int(seconds * 1000)):
                tell()

    def close(self) -> None:
        """See `Reader`."""
        for consumer in (self._committed, self._everything, self._followed):
            if consumer is not None:
                consumer.close()


class Membered(Member, ConsumerRebalanceListener):  # type: ignore[misc]
    """A `Member`: a consumer that fetches nothing."""

    def __init__(self, given: Mapping[str, Any], group: str, topics: Sequence[str]) -> None:
        super().__init__()
        with ours():
            self._consumer = KafkaConsumer(
                **given,
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="latest",
                isolation_level="read_committed",
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=SESSION_MS // 4,
                partition_assignment_strategy=[RoundRobinPartitionAssignor],
                metadata_max_age_ms=2_000,
            )
            making_none(self._consumer)
        self._one = threading.Lock()
        self._consumer.subscribe(pattern="|".join(topics), listener=self)
        self._thread.start()

    def _stay(self) -> None:
        while not self._closed.is_set():
            with self._one, suppress(KafkaError):
                self._consumer.poll(_POLL_MS)
            self._closed.wait(0.01)
        self._consumer.close()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """What is ours now; nothing of it is fetched."""
        places = list(assigned)
        self._consumer.pause(*places)
        self._given_out(places)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """What is ours no longer."""
        self._taken_away()

    def settled(self, place: Place) -> None:
        """See `Member`."""
        with ours(), self._one:
            self._consumer.committed(TopicPartition(*place), timeout_ms=int(ANSWER_SECONDS * 1000))

    def metadata(self) -> Any:
        """See `Member`."""
        return self._consumer.group_metadata()


class Writing:
    """A `Writer`."""

    def __init__(self, given: Mapping[str, Any], name: str) -> None:
        with ours():
            self._producer = KafkaProducer(
                **given,
                transactional_id=name,
                transaction_timeout_ms=DELIVERY_SECONDS * 1_000,
                delivery_timeout_ms=DELIVERY_SECONDS * 1_000,
                request_timeout_ms=DELIVERY_SECONDS * 500,
                max_block_ms=int(ANSWER_SECONDS * 1_000),
                max_request_size=2 * MESSAGE_BYTES,
                linger_ms=2,
                compression_type="lz4",
            )
            making_none(self._producer)
            self._producer.init_transactions()

    def usable(self) -> bool:
        """See `Writer`."""
        return True

    def land(self, runs: Iterable[Run], consumed: Consumed | None = None) -> None:
        """See `Writer`."""
        now = time.time_ns() // 1_000_000
        with ours():
            self._producer.begin_transaction()
            try:
                sent = [
                    self._producer.send(
                        topic, value, key=key, partition=partition, timestamp_ms=now
                    )
                    for topic, partition, keys, values in runs
                    for key, value in zip(keys, values, strict=True)
                ]
                self._producer.flush(ANSWER_SECONDS)
                for one in sent:
                    one.get(0)
                if consumed is not None:
                    offsets = {
                        TopicPartition(*one): OffsetAndMetadata(at, "", -1)
                        for one, at in consumed.offsets.items()
                    }
                    self._producer.send_offsets_to_transaction(offsets, consumed.who)
                self._producer.commit_transaction()
            except BaseException:
                with suppress(KafkaError):  # who was fenced, or is cut off, cannot
                    self._producer.abort_transaction()
                raise

    def close(self) -> None:
        """See `Writer`."""
        with suppress(KafkaError):
            self._producer.close(timeout=1)


@contextmanager
def ours() -> Iterator[None]:
    """Foreign errors become ours."""
    try:
        yield
    except KafkaError as error:
        refused(error)


def refused(error: KafkaError) -> NoReturn:
    """Our error for theirs."""
    if isinstance(error, _FENCED):
        raise fenced() from None
    if isinstance(error, UnknownTopicOrPartitionError):
        raise unknown() from None
    if isinstance(error, (KafkaConnectionError, KafkaTimeoutError)):
        raise away() from None
    raise other(type(error).__name__.removesuffix("Error")) from None


def _end(consumer: KafkaConsumer, topic: str, partition: int) -> int:
    place = TopicPartition(topic, partition)
    with ours():
        return int(consumer.end_offsets([place])[place])
