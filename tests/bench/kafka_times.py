"""Times on Apache Kafka, the roles being processes of their own and the consumers Kafka clients:
from the append to the consumer, from the revocation to the last record, take-over after
kill -9, two relays against one.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from broker.bootstrap import Broker
from broker.projection.avro import Codec
from broker.sharing.share import CLOSED, LIVE, Share
from deploy.kafka.cluster import Cluster
from tests import city
from tests import kafka as on
from tests.bench import latency
from tests.bench.measure import spread
from tests.bench.roles import running, until
from tests.bench.towns import filled, live

CONSUMERS = 30
PROMISED = 2.0
_ITEMS = "id_no name sex birth_date hukou_addr division_code status"
_PATIENCE = 120.0
_SHARED_OUT = 8.0
"""Seconds after which the relays have shared out the partitions."""


City = tuple[Path, Broker, list[Share]]
_ONE = [("reader", "name sex birth_date")]


@contextmanager
def prepared(
    people: int, asked: list[tuple[str, str]]
) -> Iterator[tuple[Path, Broker, list[Share]]]:
    """A city on the emptied cluster with so many residents, collected, and a live share for each
    pair of consumer and items. Who has relayed so far has left the group."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with city.city(folder) as broker:
            on.emptied(broker.log)  # type: ignore[arg-type]
            filled(folder, broker, people)
            ids = [live(broker, *one).id for one in asked]
        with city.city(folder) as broker:
            yield folder, broker, [broker.sharing.share(one) for one in ids]


class Reader:
    """A consumer with its own user that reads a share from its end on, in a thread."""

    def __init__(self, cluster: Cluster, name: str, password: str, share: Share) -> None:
        self.last = 0.0
        self.refused = 0.0
        self.seen: dict[int, float] = {}
        self._codec = Codec(share.schema)
        self._over = threading.Event()
        self._consumer = Consumer(
            on.as_user(cluster, name, password)
            | {
                "group.id": f"{name}.app",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 500,
            }
        )
        places = [TopicPartition(share.topic, n) for n in range(4)]
        for one in places:
            one.offset = self._consumer.get_watermark_offsets(one, timeout=20)[1]
        self._consumer.assign(places)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._over.is_set():
            message = self._consumer.poll(0.2)
            if message is None:
                continue
            now = time.perf_counter()
            if message.error() is not None:
                self.refused = self.refused or now
                continue
            self.last = now
            name = self._codec.decode((message.value() or b"")[5:]).get("name") or ""
            if mark := latency._MARK.fullmatch(str(name)):
                self.seen.setdefault(int(mark[1]), now)

    def end(self) -> None:
        """Stop reading."""
        self._over.set()
        self._thread.join()
        self._consumer.close()


def appended_to_read(cluster: Cluster) -> dict[str, Any]:
    """p50 and p99 from before the append to the collected topic until a Kafka client has it."""
    with prepared(latency._PEOPLE, [("reader", "name sex birth_date")]) as (
        folder,
        broker,
        (share,),
    ):
        reader = Reader(cluster, "reader", _password(broker, "reader"), share)
        changes = latency.A_SECOND * latency._SECONDS
        batches = list(latency._batches(broker, changes))
        with running(folder, "relay"):
            time.sleep(latency._SETTLED)
            begun, appended, wall = latency._append(broker, batches)
            until(lambda: len(reader.seen) == changes, _PATIENCE)
        reader.end()
        each = len(batches[0].appends)
        written = latency._written(broker, share)
        return {
            "achieved_changes_per_second": round(changes / latency.time_of(appended, begun)),
            "to_consumer": spread([at - appended[n // each] for n, at in reader.seen.items()]),
            "to_shared_topic": spread([at - wall[n // each] for n, at in written.items()]),
        }


def revocations(cluster: Cluster, alone: bool) -> dict[str, Any]:
    """Consumers revoked one after the other while they read a share that changes all the time:
    all of one share, or each `alone` on a share of its own."""
    kinds = list(combinations(_ITEMS.split(), 4))
    names = [f"c{number}" for number in range(CONSUMERS)]
    items = [" ".join(kinds[number if alone else 0]) for number in range(CONSUMERS)]
    asked = list(zip(names, items, strict=True))
    with prepared(1_000, asked) as (folder, broker, shares):
        readers = [
            Reader(cluster, name, _password(broker, name), share)
            for name, share in zip(names, shares, strict=True)
        ]
        grants = {one.grant.consumer.id: one.grant.id for one in broker.sharing.grants()}
        over = threading.Event()
        changing = threading.Thread(target=_change, args=(folder, over))
        began: list[float] = []
        confirmed: list[float] = []
        closed: list[float] = []
        with running(folder, "connect", "relay", poll_seconds=1, settle_seconds=0):
            changing.start()
            time.sleep(3)
            for name, share in zip(names, shares, strict=True):
                began.append(time.perf_counter())
                broker.sharing.revoke(grants[name], "r")
                broker.life.advance()
                assert broker.life.unconfirmed == []
                confirmed.append(time.perf_counter())
                if alone:
                    until(lambda s=share: _is_closed(broker, s), _PATIENCE)
                    closed.append(time.perf_counter())
            over.set()
            changing.join()
        for one in readers:
            one.end()
        found = zip(began, readers, strict=True)
        return {
            "to_last_record": spread([max(0.0, one.last - at) for at, one in found]),
            "to_confirmed": spread([b - a for a, b in zip(began, confirmed, strict=True)]),
            "to_closed": spread([b - a for a, b in zip(began, closed, strict=False)]),
            "refused_or_gone": sum(one.refused > 0 for one in readers),
        }


def _is_closed(broker: Broker, share: Share) -> bool:
    if broker.sharing.share(share.id).state == CLOSED:
        return True
    broker.life.advance()
    return False


def _change(folder: Path, over: threading.Event) -> None:
    """Residents change at the source, some hundred a second."""
    turn = 0
    while not over.wait(0.2):
        turn += 1
        now = datetime.now()
        rows = [
            city.resident(n, now, xm=f"名{turn}")
            for n in range(turn * 50 % 1_000, turn * 50 % 1_000 + 50)
        ]
        city.put(city.county(folder, "371502"), *rows)


def take_over(kills: int = 3) -> dict[str, float]:
    """Of two relays one is killed; until the other has relayed what was appended just then to
    every partition."""
    times: list[float] = []
    for _ in range(kills):
        with (
            prepared(200, _ONE) as (folder, broker, (share,)),
            running(folder, "relay") as first,
            running(folder, "relay"),
        ):
            time.sleep(_SHARED_OUT)
            batch = next(latency._batches(broker, latency.A_SECOND))
            os.kill(first["relay"].pid, signal.SIGKILL)
            broker.log.commit(batch)
            done = partial(_has, broker, share, len(batch.appends))
            times.append(until(done, _PATIENCE))
    return spread(times)


def _has(broker: Broker, share: Share, changes: int) -> bool:
    return len(latency._written(broker, share)) == changes


def relays(people: int, processes: int) -> dict[str, float]:
    """So many relay processes bring a new share up to all that is collected."""
    with prepared(people, []) as (folder, broker, _), ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(running(folder, "relay"))
        time.sleep(_SHARED_OUT)
        one = city.grant(broker, "reader", "name sex birth_date")
        broker.life.advance()

        def is_live() -> bool:
            broker.life.advance(fresh=False)
            return bool(one.share) and broker.sharing.share(one.share.id).state == LIVE

        seconds = until(is_live, _PATIENCE)
        return {"seconds": round(seconds, 1), "records_per_second": round(people / seconds)}


def _password(broker: Broker, name: str) -> str:
    password = broker.credentials.rotate(name)
    broker.life.advance()
    return password
