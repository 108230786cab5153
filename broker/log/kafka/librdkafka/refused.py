"""What librdkafka's errors mean to us."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from confluent_kafka import KafkaError, KafkaException

from broker.log.kafka.refusals import away, fenced, other, unknown

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
LEADERLESS = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._DESTROY_BROKER,
}
"""A partition was just made, or is moving to another broker: this passes."""
_AWAY = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, *LEADERLESS}
UNKNOWN = {
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


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
    if code in UNKNOWN:
        raise unknown() from None
    if code in _AWAY:
        raise away() from None
    raise other(error.name()) from None
