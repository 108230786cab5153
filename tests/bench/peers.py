"""What a user would otherwise have: a bare copy, which is the limit, and a masking relay as one
writes it with fastavro and dictionaries. Neither opens, routes, nor knows who holds a record.

On Kafka they are plain confluent-kafka, or kafka-python through our own transport.
"""

import hmac
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

from broker.bootstrap import Broker
from broker.log.interface import Batch, Run
from broker.log.kafka.address import Address
from broker.log.kafka.choose import transport
from broker.projection.derive import field_name
from broker.settings import Settings
from broker.sharing.share import Share
from tests.bench.subject import DATASET

TRANSACTION = 10_000
COPY = "shared.bench.copy"
_PATIENCE = 30.0

Change = Callable[[bytes], bytes]


def naive(share: Share, schema: dict[str, Any]) -> Change:
    """Decode with fastavro, mask what the share masks, encode with fastavro."""
    reader = fastavro.parse_schema(schema)
    released = {name: effect for name, effect in share.effects.items() if effect.name != "drop"}
    writer = fastavro.parse_schema(dict(share.schema))
    fields = [(name, field_name(name, effect), effect.name) for name, effect in released.items()]
    masks: dict[str, Callable[[Any], Any]] = {
        "keep": lambda value: value,
        "pseudonym": lambda value: hmac.digest(b"k" * 32, value.encode(), "sha256").hex()[:26],
        "surname": lambda value: value[0] + "**",
        "partial": lambda value: value and value[:3] + "****" + value[-4:],
        "year": lambda value: value and value.year,
        "street": lambda value: value and value.split("街道")[0] + "街道",
    }

    def change(body: bytes) -> bytes:
        record = fastavro.schemaless_reader(BytesIO(body), reader, None)
        shown = {field: masks[effect](record[name]) for name, field, effect in fields}
        out = BytesIO()
        fastavro.schemaless_writer(out, writer, shown)
        return out.getvalue()

    return change


class Copier:
    """Copies the collected topic into another, changed or not. `counts` says how many records
    each partition has."""

    def __init__(self, broker: Broker, counts: Sequence[int], change: Change | None) -> None:
        self._broker = broker
        self._counts = counts
        self._change = change
        dataset = broker.catalog.dataset(DATASET)
        self._topic = dataset.collected_topic
        broker.log.create_topics({COPY: dataset.partitions})
        self._copy = self._by_log
        settings = broker.settings
        if settings.kafka_servers:
            self._address = _address(settings)
            self._copy = self._by_transport
            if settings.kafka_transport != "kafka-python":
                self._consumer, self._producer = _clients(self._address)
                self._copy = self._plainly

    def run(self) -> int:
        """Copy everything once; how many records."""
        for number, count in enumerate(self._counts):
            self._copy(number, count)
        return sum(self._counts)

    def _changed(self, values: Sequence[bytes | None]) -> Sequence[bytes | None]:
        change = self._change
        return values if change is None else [change(one or b"") for one in values]

    def _by_log(self, number: int, count: int) -> None:
        offset = 0
        while count > 0:
            page = self._broker.log.page(self._topic, number, offset, TRANSACTION)
            values = self._changed(page.values)
            self._broker.log.commit(Batch(runs=[Run(COPY, number, page.keys, values)]))
            offset = page.offsets[-1] + 1
            count -= len(page.keys)

    def _by_transport(self, number: int, count: int) -> None:
        made = transport("kafka-python", self._address)
        reader, writer = made.reader(), made.writer("shuqiao.bench")
        offset = 0
        while count > 0:
            page = reader.read(self._topic, number, offset, TRANSACTION)
            writer.land([Run(COPY, number, page.keys, self._changed(page.values))])
            offset = page.after
            count -= len(page.keys)
        reader.close()
        writer.close()

    def _plainly(self, number: int, count: int) -> None:
        consumer, producer, change = self._consumer, self._producer, self._change
        consumer.assign([TopicPartition(self._topic, number, 0)])
        while count > 0:
            producer.begin_transaction()
            room = min(TRANSACTION, count)
            while room > 0:
                messages = consumer.consume(room, 1.0)
                for message in messages:
                    value = message.value()
                    if change is not None:
                        value = change(value or b"")
                    producer.produce(COPY, value, message.key(), number)
                room -= len(messages)
                count -= len(messages)
            producer.commit_transaction(_PATIENCE)


def _clients(address: Address) -> tuple[Consumer, Producer]:
    """As somebody sets them who knows them well."""
    given = address.librdkafka()
    reading = {
        "group.id": "shuqiao.bench",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "fetch.queue.backoff.ms": 5,
    }
    writing = {
        "transactional.id": "shuqiao.bench",
        "compression.type": "lz4",
        "linger.ms": 2,
        "queue.buffering.max.messages": 500_000,
    }
    consumer, producer = Consumer({**given, **reading}), Producer({**given, **writing})
    producer.init_transactions(_PATIENCE)
    return consumer, producer


def _address(settings: Settings) -> Address:
    password = settings.kafka_password_file
    return Address(
        settings.kafka_servers,
        settings.kafka_user,
        password.read_text("utf-8").strip() if password else "",
        settings.kafka_ca,
    )
