"""Answers the fetches that wait at the brokers, so that none outlives a right that has ended.

A broker judges a fetch when it comes, then lets it wait as long as the client asked, for as many
bytes as the client asked. It is answered at once where the partition has begun a new segment.

Law: on every partition a transaction with one record is aborted, and its marker begins a new
segment. Nothing of it is seen by whoever reads what is committed.
"""

import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from broker.log.interface import Place
from broker.log.kafka.address import ANSWER_SECONDS, DELIVERY_SECONDS, Address
from broker.log.kafka.admin import COMPACTED, ask, making_none, ours, shown_anywhere
from broker.log.kafka.refusals import unknown

SEGMENT = "segment.ms"
_SHORT = "1"
_APART = 0.02
"""Seconds between a record and its marker: more than the shortest segment may last."""

_PATIENCE = 2.0
_PAUSE = 0.02


def answer_fetches(address: Address, client: Any, topics: Collection[str]) -> list[str]:
    """Have what waits for these topics answered; the topics of which that is not certain yet.
    Topics that are not there are left out. `KafkaError`."""
    places = _places(client, topics)
    names = sorted({one.topic for one in places})
    if not names:
        return []
    _set(client, names, _SHORT)
    try:
        if not _in_time(lambda: _known_everywhere(client, names)):
            return names
        ends = {TopicPartition(*place): end for place, end in _mark(address, places).items()}
        _in_time(lambda: not _behind(client, ends))
        return sorted({one.topic for one in _behind(client, ends)})
    except UnknownTopicOrPartitionError:
        return names  # one was deleted meanwhile: the next call leaves it out
    finally:
        _set(client, names, COMPACTED[SEGMENT])


def end_segments(address: Address, places: Collection[Place]) -> dict[Place, int]:
    """Begin another segment in partitions whose last one is older than a segment may become; where
    they end now. `UnknownTopic` where one is gone."""
    try:
        return _mark(address, places)
    except UnknownTopicOrPartitionError:
        raise unknown() from None
    except KafkaError as error:
        raise ours(error) from None


def _places(client: Any, topics: Collection[str]) -> list[TopicPartition]:
    there = shown_anywhere(client) if topics else {}
    return [
        TopicPartition(name, each["partition_index"])
        for name in sorted(topics)
        if name in there
        for each in there[name]["partitions"]
    ]


def _set(client: Any, names: Collection[str], value: str) -> None:
    for name in names:
        wanted = ConfigResource(ConfigResourceType.TOPIC, name, {SEGMENT: value})
        with suppress(UnknownTopicOrPartitionError):
            client.alter_configs([wanted])


def _known_everywhere(client: Any, names: Collection[str]) -> bool:
    """Whether every live broker has heard how long a segment lasts now."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, {SEGMENT: ""}) for name in names]
    brokers = client.describe_cluster()["brokers"]
    for broker in (one["broker_id"] for one in brokers if not one.get("is_fenced")):
        answer = ask(client, client._describe_configs_request(asked), broker)
        found = client._describe_configs_process_responses([answer], "all").get("topic", {})
        if any(each[SEGMENT]["value"] != _SHORT for each in found.values() if each):
            return False
    return True


def _mark(address: Address, places: Collection[Place]) -> dict[Place, int]:
    """Abort a record on each partition; the offsets behind the markers."""
    producer = KafkaProducer(
        **address.pure(),
        transactional_id=f"shuqiao.barrier.{uuid.uuid4().hex}",
        transaction_timeout_ms=DELIVERY_SECONDS * 1_000,
        delivery_timeout_ms=DELIVERY_SECONDS * 1_000,
        request_timeout_ms=DELIVERY_SECONDS * 500,
        max_block_ms=int(ANSWER_SECONDS * 1_000),
    )
    making_none(producer)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        try:
            sent = {
                (topic, number): producer.send(topic, key=b"", partition=number)
                for topic, number in places
            }
            producer.flush(ANSWER_SECONDS)
            ends = {one: future.get(0).offset + 2 for one, future in sent.items()}
            time.sleep(_APART)
        finally:
            producer.abort_transaction()
    finally:
        with suppress(KafkaError):
            producer.close(timeout=1)
    return ends


def _behind(client: Any, ends: Mapping[TopicPartition, int]) -> list[TopicPartition]:
    """The partitions where the marker, or a transaction before it, still stands out."""
    asked = {one: OffsetSpec.LATEST for one in ends}
    found = client.list_partition_offsets(asked, isolation_level="read_committed")
    return [one for one, end in ends.items() if found[one].offset < end]


def _in_time(so: Callable[[], bool]) -> bool:
    until = time.monotonic() + _PATIENCE
    while not so():
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)
    return True
