"""What a share must hold, computed anew from the collected topic and the decision."""

from typing import Any

from broker.bootstrap import Broker
from broker.model import Dataset
from broker.policy.rows import admits
from broker.projection.avro import Codec
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms, keyed_hash
from broker.registry import unframe
from broker.sharing.service import Outcome


def newest(broker: Broker, topic: str) -> dict[bytes, bytes]:
    """The live values of a topic by key."""
    found: dict[bytes, bytes | None] = {}
    for partition in range(broker.log.topics().get(topic, 0)):
        offset = 0
        while batch := broker.log.read(topic, partition, offset, 1000):
            found.update((stored.key, stored.value) for stored in batch)
            offset = batch[-1].offset + 1
    return {key: value for key, value in found.items() if value is not None}


def collected(broker: Broker, dataset: str) -> list[dict[str, Any]]:
    """The records of a dataset that are collected and not deleted."""
    return list(_records(broker, broker.catalog.dataset(dataset)).values())


def _records(broker: Broker, dataset: Dataset) -> dict[bytes, dict[str, Any]]:
    codec, topic = Codec(dataset.schema), dataset.collected_topic
    return {
        key: codec.decode(broker.sealer.open(topic, key, sealed).body)
        for key, sealed in newest(broker, topic).items()
    }


def wanted(broker: Broker, outcome: Outcome) -> dict[bytes, bytes]:
    """Share key → Avro body that the grant's share must hold."""
    share = outcome.share
    assert share is not None
    dataset = broker.catalog.dataset(share.dataset)
    decision = broker.sharing.decision(outcome.grant.id)
    domain = Pseudonyms(broker.keyring.key(f"pseudonym.{share.domain}")) if share.domain else None
    projection = Projection(dataset, decision.released, domain, broker.divisions)
    secret = broker.keyring.key(f"share.{share.id}")
    bodies: dict[bytes, bytes] = {}
    for key, record in _records(broker, dataset).items():
        inside = decision.rows.scope.holds(record[dataset.scope_item])
        if inside and admits(decision.rows, record, broker.today.year):
            bodies[keyed_hash(secret, key)] = projection.project(record)
    return bodies


def held(broker: Broker, outcome: Outcome) -> dict[bytes, bytes]:
    """Share key → Avro body that the share does hold."""
    assert outcome.share is not None
    return {k: unframe(v)[1] for k, v in newest(broker, outcome.share.topic).items()}
