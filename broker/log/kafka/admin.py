"""Topics of the cluster, made and removed through kafka-python.

Law: every topic is made with what design asks of its kind; a partition count is for life. A
topic is gone when no broker shows it any more.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.protocol.metadata import MetadataRequest
from kafka.structs import OffsetAndMetadata

from broker.errors import LogError
from broker.log.kafka.address import ANSWER_SECONDS, MESSAGE_BYTES, Address
from broker.log.kafka.refusals import away

_Client = TypeVar("_Client", bound=Any)
_HOUR = 3_600_000
_DAY = 24 * _HOUR
_GONE = 10.0
_ONE_BROKER_MS = 2_000
_PAUSE = 0.05
COMPACTED = {
    # with a retention that never ends: on purely compacted topics no record can be removed
    "cleanup.policy": "compact,delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.compaction.lag.ms": str(_DAY),
    "segment.ms": str(6 * _HOUR),
    "delete.retention.ms": str(30 * _DAY),
    "message.timestamp.type": "CreateTime",
    "max.message.bytes": str(MESSAGE_BYTES),
}
"""The configuration of every topic: see design, retention."""

_LASTING = ("cleanup.policy", "retention.ms", "retention.bytes")
"""Where one of these is another, records go that should stay."""


# what the library would print to the terminal: its errors are told as ours
logging.getLogger("kafka").addHandler(logging.NullHandler())


class Admin:
    """One administrator; it connects when it is first needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._made: KafkaAdminClient | None = None

    @property
    def client(self) -> Any:
        """The library's own, connected."""
        if self._made is None:
            try:
                self._made = KafkaAdminClient(
                    **self._address.pure(), request_timeout_ms=10_000, bootstrap_timeout_ms=5_000
                )
            except KafkaError as error:
                raise (_let_in_nobody() if self._address.answering() else ours(error)) from None
            _bound(self._made._manager)
        return self._made

    def cluster(self) -> str:
        """The cluster's id."""
        return str(self._asked("describe_cluster")["cluster_id"])

    def brokers(self) -> int:
        """How many brokers there are."""
        return len(self._asked("describe_cluster")["brokers"])

    def topics(self) -> dict[str, int]:
        """Partition count by topic, without the cluster's own."""
        try:
            found = shown_anywhere(self.client)
        except KafkaError as error:
            raise ours(error) from None
        return {name: len(one["partitions"]) for name, one in found.items()}

    def layout(self) -> tuple[int, dict[str, str]]:
        """How many copies a topic is to have, and how it is to be set."""
        copies = min(3, self.brokers())
        return copies, COMPACTED | {"min.insync.replicas": str(min(2, copies))}

    def create(self, topics: Mapping[str, int]) -> None:
        """Make topics; those that are there stay as they are."""
        copies, settings = self.layout()
        for name, partitions in topics.items():
            wanted = {
                "num_partitions": partitions,
                "replication_factor": copies,
                "configs": settings,
            }
            try:
                self.client.create_topics({name: wanted}, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                continue
            except KafkaError as error:
                raise ours(error) from None

    def check(self, name: str) -> None:
        """`LogError` where a topic is set so that records would go."""
        asked = ConfigResource(ConfigResourceType.TOPIC, name)
        try:
            found = self.client.describe_configs([asked], config_filter="all")["topic"][name]
        except KafkaError as error:
            raise ours(error) from None
        for setting in _LASTING:
            if setting in found and found[setting]["value"] != COMPACTED[setting]:
                raise LogError(
                    f"{setting} is {found[setting]['value']}, not {COMPACTED[setting]}",
                    where=f"topic {name}",
                    mend="`shuqiao topics check --apply`, then `shuqiao connect run --again`",
                )

    def delete(self, name: str) -> None:
        """Remove a topic; a missing one is nothing."""
        try:
            self.client.delete_topics([name])
        except UnknownTopicOrPartitionError:
            return
        except KafkaError as error:
            raise ours(error) from None
        until = time.monotonic() + _GONE
        while name in self.topics():
            if time.monotonic() > until:
                raise LogError("a deleted topic is still shown", where=name, mend="try again")
            time.sleep(_PAUSE)

    def show(self, group: str, places: Mapping[tuple[str, int], int]) -> None:
        """Commit these offsets for a group that nobody is in; without any, remove the group."""
        try:
            if not places:
                self.client.delete_groups([group])
                return
            offsets = {
                TopicPartition(*place): OffsetAndMetadata(offset, "", -1)
                for place, offset in places.items()
            }
            self.client.alter_group_offsets(group, offsets)
        except KafkaError as error:
            raise ours(error) from None

    def _asked(self, what: str) -> Any:
        try:
            return getattr(self.client, what)()
        except KafkaError as error:
            raise ours(error) from None

    def close(self) -> None:
        """Give back connections."""
        if self._made is not None:
            self._made.close()
            self._made = None


def ask(client: Any, request: Any, broker: int) -> Any:
    """Ask that broker, where the library would ask any; `KafkaError`, also where it is slow."""
    return client._manager.run(_answer, client._manager, request, broker)


async def _answer(manager: Any, request: Any, broker: int) -> Any:
    if manager.cluster.broker_metadata(broker) is None:
        # it came back, or is new: left alone the library looks again after minutes
        await manager.wait_for(manager.cluster.request_update(), _ONE_BROKER_MS)
    return await manager.wait_for(manager.send(request, broker), _ONE_BROKER_MS)


def shown_anywhere(client: Any) -> dict[str, Any]:
    """Every topic but the cluster's own that any live broker shows: one that was away does not
    know yet what was made meanwhile. `KafkaError` where none answers."""
    manager = client._manager

    async def asked() -> list[dict[str, Any]]:
        whole = await client._get_cluster_metadata(None)
        brokers = [one["node_id"] for one in whole["brokers"]]
        request = MetadataRequest(topics=None, allow_auto_topic_creation=False)
        others = [
            manager.call_soon(_answer, manager, request, one) for one in brokers if len(brokers) > 1
        ]
        found = [whole]
        for answer in others:
            with suppress(KafkaError):
                found.append((await answer).to_dict())
        return found

    return {
        one["name"]: one
        for answer in manager.run(asked)
        for one in answer["topics"]
        if not one.get("is_internal") and not one["error_code"]
    }


def making_none(client: _Client) -> _Client:
    """The same client, which has the brokers make no topic that it asks for, as many would: one of
    a share that is closed would come back. (The library has a setting for it, and forgets it.)"""
    known = client._metadata if hasattr(client, "_metadata") else client._manager.cluster
    known.config["allow_auto_create_topics"] = False
    return client


def _bound(manager: Any) -> None:
    """Let no question wait for ever: the library does, for a broker that takes a connection and
    says nothing more."""
    run = manager.run

    def bounded(question: Any, *words: Any) -> Any:
        async def waited() -> Any:
            future = manager.call_soon(question, *words)
            return await manager.wait_for(future, int(ANSWER_SECONDS * 1_000))

        return run(waited)

    manager.run = bounded


def _let_in_nobody() -> LogError:
    return LogError(
        "Kafka answers, and does not let us in",
        where="settings kafka_user, kafka_password_file, kafka_ca",
        mend="check user and password, and that the port is that of a SASL listener with TLS",
    )


def ours(error: KafkaError) -> LogError:
    """What the library says, as an error of ours."""
    name = type(error).__name__
    away_words = "Connection", "Broker", "Timeout"
    if getattr(error, "retriable", False) or any(word in name for word in away_words):
        return away()
    return LogError(f"Kafka refuses ({name})", mend="check the user's rights and the password")
