"""Reading by offset.

Law: see `Reader`. What the library fetches ahead is of use only to who reads on.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from broker.log.interface import Place
from broker.log.kafka.address import ANSWER_SECONDS
from broker.log.kafka.librdkafka.refused import LEADERLESS, UNKNOWN, refused
from broker.log.kafka.refusals import away
from broker.log.kafka.transport import Fetched

_NOBODY = "shuqiao.none"
"""A group that nobody joins: librdkafka wants a name."""

_AT_ONCE = 1_000_000
"""The most messages that the library is asked for at once."""

_SIZED = 5_000
"""The same where a page is to end after so many bytes."""
_LEADERLESS_PAUSE = 0.05
_HEARD = 1.0
"""Seconds until every broker has heard of a topic that one of them shows."""


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

    def ranges(self, wanted: Mapping[Place, tuple[int, int]], size: int) -> dict[Place, Fetched]:
        """See `Reader`: a broker is asked for all that it leads at once."""
        found = {place: Fetched(start) for place, (start, _) in wanted.items()}
        self._at, left = None, set(wanted)
        self._committed.assign([TopicPartition(*place, found[place].after) for place in wanted])
        until = time.monotonic() + ANSWER_SECONDS
        while left and size > 0:
            first = self._committed.poll(max(0.0, until - time.monotonic()))
            if first is None:
                raise away()
            messages = defaultdict[tuple[Any, Any], list[Any]](list)
            for one in (first, *self._committed.consume(_SIZED, 0)):
                messages[one.topic(), one.partition()].append(one)
            for place in left & messages.keys():
                before, known = found[place].after, len(found[place].values)
                _take(messages[place], *place, found[place], False)
                size -= found[place].bytes(known)
                if found[place].after > before:
                    until = time.monotonic() + ANSWER_SECONDS  # it answers
                if found[place].after >= wanted[place][1]:
                    left.discard(place)
        self._committed.unassign()
        return {place: one for place, one in found.items() if place not in left}

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
            lasting = [one for one in errors if one.code() not in LEADERLESS]
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
            lasts = ANSWER_SECONDS if code in LEADERLESS else _HEARD * (code in UNKNOWN)
            if waited > lasts and not (code in UNKNOWN and waited < ANSWER_SECONDS and shown()):
                refused(error.args[0])
            time.sleep(_LEADERLESS_PAUSE)


def _shown(consumer: Consumer, topics: Collection[str]) -> bool:
    """Whether a broker shows these topics; the client hears of what it did not know."""
    with suppress(KafkaException):
        known = consumer.list_topics(timeout=ANSWER_SECONDS).topics
        return all(name in known and known[name].error is None for name in topics)
    return False
