"""An ordeal on a real Apache Kafka: roles are killed at random while residents change, consumers
come, read with a Kafka client, and are revoked. What was promised is checked all along.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.errors import LogError, ShuQiaoError
from broker.sharing.service import Outcome
from broker.sharing.share import LIVE
from deploy.kafka.cluster import Cluster
from tests import city, recompute
from tests.faults.test_processes import DATASET, NOW, process
from tests.kafka import as_user

PEOPLE = 90
EACH = 15
"""How many residents one turn of the load changes."""

ROLES = (
    ("connect", "run", "--follow"),
    ("relay", "--follow"),
    ("relay", "--follow"),
    ("controller",),
)
_ITEMS = ["name", "sex", "birth_date", "division_code", "status"]
_PATIENCE = 60.0
PROMISED = 2.0
"""Seconds from a revocation until the brokers refuse."""


class Load:
    """Residents get another name at the source, again and again, until the block ends."""

    def __init__(self, folder: Path, people: int = PEOPLE) -> None:
        self._county = city.county(folder, "371502")
        self._people = people
        self.turns = 0

    def change(self) -> None:
        """One turn: the next of the residents."""
        self.turns += 1
        later = (NOW + timedelta(seconds=self.turns)).strftime("%Y-%m-%d %H:%M:%S")
        first = self.turns * EACH % self._people
        name = f"{self.turns}改"
        city.put(
            self._county,
            *(city.resident(n, NOW, xm=name, gxsj=later) for n in range(first, first + EACH)),
        )

    @contextmanager
    def going_on(self, pause: float = 0.3) -> Iterator[None]:
        """Turns beside the block."""
        over = threading.Event()

        def go() -> None:
            while not over.wait(pause):
                self.change()

        turning = threading.Thread(target=go)
        turning.start()
        try:
            yield
        finally:
            over.set()
            turning.join()


class Reader:
    """A consumer's own Kafka client that reads all of a share as it grows; it does not look
    whether it may, and is as patient at the brokers as it likes."""

    def __init__(self, cluster: Cluster, name: str, password: str, topic: str) -> None:
        self.read: dict[int, int] = {}
        self.refused = False
        self._over = threading.Event()
        self._consumer = Consumer(
            as_user(cluster, name, password)
            | {
                "group.id": f"{name}.app",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20_000,
                "topic.metadata.refresh.interval.ms": 90_000,
            }
        )
        self._consumer.assign([TopicPartition(topic, n, 0) for n in range(4)])
        self._thread = threading.Thread(target=self._go, daemon=True)
        self._thread.start()

    def _go(self) -> None:
        while not self._over.is_set():
            found = self._consumer.poll(0.1)
            if found is None:
                continue
            if (error := found.error()) is not None:
                self.refused |= error.code() in _REFUSED
                continue
            partition, offset = found.partition(), found.offset()
            assert partition is not None and offset is not None
            self.read[partition] = max(offset, self.read.get(partition, 0))

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._consumer.close()


_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_ID,
}


@dataclass
class Found:
    """What happened, for the record."""

    kills: dict[str, int] = field(default_factory=dict)
    revocations: int = 0
    closed: int = 0
    of_others: int = 0
    confirmed_seconds: list[float] = field(default_factory=list)
    unconfirmed_at_first: int = 0
    turns: int = 0


class Ordeal:
    """One ordeal: `run` it, then its city is exact or an assertion fails."""

    def __init__(self, folder: Path, cluster: Cluster, seed: int) -> None:
        self._folder = folder
        self._cluster = cluster
        self._draw = random.Random(seed)
        self._load = Load(folder)
        self._number = 0
        self._grants: list[tuple[Outcome, str]] = []
        self._ended: list[tuple[Reader, dict[int, int]]] = []
        self.found = Found()

    def run(self, kills: int, revocations: int) -> Found:
        """So many of both, spread over each other at random."""
        city.fill(self._folder, range(PEOPLE), NOW)
        events = ["kill"] * kills + ["revoke"] * revocations
        self._draw.shuffle(events)
        with city.city(self._folder) as broker, ExitStack() as stack:
            running = [self._started(stack, role) for role in ROLES]
            with self._load.going_on():
                for _ in range(3):
                    self._grant(broker)
                self._all_live(broker)
                for event in events:
                    if event == "kill":
                        self._kill(stack, running)
                    else:
                        self._revoke(broker)
            self.found.turns = self._load.turns
            city.until(lambda: self._exact(broker), _PATIENCE)
            for reader, ends in self._ended:
                reader.end()
                late = {p: at for p, at in reader.read.items() if at >= ends.get(p, 0)}
                assert not late, f"read after the right had ended: {late}, {ends}"
        return self.found

    def _started(self, stack: ExitStack, role: tuple[str, ...]) -> Any:
        return role, stack.enter_context(process(self._folder, *role))

    def _kill(self, stack: ExitStack, running: list[Any]) -> None:
        """One role at a random moment; it is started again a little later."""
        time.sleep(self._draw.uniform(0, 1.5))
        index = self._draw.randrange(len(running))
        role, one = running[index]
        assert one.poll() is None, "a role has ended by itself"
        one.kill()
        one.wait(10)
        self.found.kills[role[0]] = self.found.kills.get(role[0], 0) + 1
        time.sleep(self._draw.uniform(0, 0.5))
        running[index] = self._started(stack, role)

    def _grant(self, broker: Broker) -> None:
        """A new consumer with a user; one time in three on a share that others have."""
        self._number += 1
        name = f"c{self._number}"
        kinds = list(combinations(_ITEMS, 2)) + list(combinations(_ITEMS, 3))
        items = " ".join(kinds[0 if self._draw.random() < 0.34 else self._draw.randrange(1, 20)])
        password = ""

        def done() -> bool:
            nonlocal password
            try:
                password = password or broker.credentials.rotate(name)
            except LogError:
                return False
            return True

        outcome = city.grant(broker, name, items)
        city.until(done, _PATIENCE)
        self._grants.append((outcome, password))

    def _all_live(self, broker: Broker) -> None:
        def live() -> bool:
            known = [broker.sharing.grant(one.grant.id).share for one, _ in self._grants]
            return all(share and broker.sharing.share(share).state == LIVE for share in known)

        city.until(live, _PATIENCE)

    def _revoke(self, broker: Broker) -> None:
        """One of the grants, while its reader reads and waits; another takes its place."""
        outcome, password = self._grants.pop(self._draw.randrange(len(self._grants)))
        share = broker.sharing.share(broker.sharing.grant(outcome.grant.id).share or "")
        reader = Reader(self._cluster, outcome.grant.consumer.id, password, share.topic)
        city.until(lambda: reader.read or reader.refused, _PATIENCE)
        assert not reader.refused, "it may read until it is revoked"
        time.sleep(self._draw.uniform(0, 0.5))
        started = time.monotonic()
        broker.sharing.revoke(outcome.grant.id, "r")
        confirmed = self._advanced(broker)
        self.found.unconfirmed_at_first += not confirmed
        while not confirmed:
            assert time.monotonic() - started < _PATIENCE
            confirmed = self._advanced(broker)
        self.found.confirmed_seconds.append(time.monotonic() - started)
        self.found.revocations += 1
        there = broker.log.topics()
        ends = {}
        if share.topic in there:
            self.found.of_others += 1
            ends = {n: broker.log.end(share.topic, n) for n in range(there[share.topic])}
        else:
            self.found.closed += 1
            ends = dict.fromkeys(range(4), 1 << 62)  # nothing is there to be read
        self._ended.append((reader, ends))
        self._grant(broker)
        self._all_live(broker)

    def _advanced(self, broker: Broker) -> bool:
        """Whether what has ended is refused by every broker, after one more step."""
        try:
            broker.life.advance()
        except ShuQiaoError:
            return False  # the log or its brokers are busy with a kill
        return not broker.life.unconfirmed

    def _exact(self, broker: Broker) -> bool:
        """Nothing is lost, nothing is there twice, every share is its recomputation, and what
        was closed is gone."""
        try:
            names = {str(one["name"]) for one in recompute.collected(broker, DATASET)}
            found = compare_all(broker)
        except ShuQiaoError:
            return False
        shares = broker.sharing.shares(DATASET)
        there = {name for name in broker.log.topics() if name.startswith("shared.")}
        return (
            f"{self._load.turns}改" in names
            and len(recompute.collected(broker, DATASET)) == PEOPLE
            and bool(found)
            and all(one.exact for one in found)
            and {one.state for one in shares} == {LIVE}
            and there == {one.topic for one in shares}
        )
