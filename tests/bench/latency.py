"""From the append to the collected topic to the record at the consumer, over HTTP.

Changes of known residents are sealed beforehand and appended at a steady pace; a consumer
reads them as events, or with long polls. The settle delay of a connector comes before the
append and stands apart.
"""

import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from broker.bootstrap import Broker
from broker.log.interface import Append, Batch
from broker.projection.avro import Codec
from broker.settings import Settings
from broker.sharing.share import Share
from tests import city
from tests.bench.measure import spread
from tests.bench.roles import running
from tests.bench.towns import DATASET, filled, live

A_SECOND = 1_000
_COMMITS_A_SECOND = 20
_SECONDS = 8
_PEOPLE = 5_000
_MARK = re.compile(r"变(\d+)变")
_PATIENCE = 20.0
_SETTLED = 3.0
"""Seconds from the start of the roles to the first change."""


def latency() -> dict[str, Any]:
    """All roles in one process with each kind of reading; then relay and HTTP apart."""
    return {
        "changes_per_second": A_SECOND,
        "settle_seconds_apart": Settings.model_fields["settle_seconds"].default,
        "up_events": appended_to_read("events", "up"),
        "up_long_poll": appended_to_read("long_poll", "up"),
        "roles_apart_events": appended_to_read("events", "relay", "controller", "serve"),
    }


def appended_to_read(kind: str, *roles: str) -> dict[str, Any]:
    """p50 and p99 from before the append until the consumer has the record; and until the
    relay has written it to the shared topic."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        filled(Path(name), broker, _PEOPLE)
        share = live(broker, "reader")
        key = broker.api_keys.add("reader")
        batches = list(_batches(broker, A_SECOND * _SECONDS))
        with running(Path(name), *roles) as started:
            url = next(one.url for one in started.values() if one.url)
            reader = _Reader(url, key, kind, A_SECOND * _SECONDS)
            begun, appended, wall = _append(broker, batches)
            reader.join(_PATIENCE)
        written = _written(broker, share)
        each = len(batches[0].appends)
        return {
            "achieved_changes_per_second": round(len(appended) * each / (time_of(appended, begun))),
            "not_read": A_SECOND * _SECONDS - len(reader.seen),
            "to_consumer": spread([at - appended[n // each] for n, at in reader.seen.items()]),
            "to_shared_topic": spread([at - wall[n // each] for n, at in written.items()]),
        }


def time_of(appended: list[float], begun: float) -> float:
    """Seconds that the appending took, up to the pause after its last commit."""
    return appended[-1] - begun + 1 / _COMMITS_A_SECOND


class _Reader:
    """A consumer: when it had each change, by the change's number."""

    def __init__(self, url: str, key: str, kind: str, wanted: int) -> None:
        self.seen: dict[int, float] = {}
        self._wanted = wanted
        self._client = httpx2.Client(
            base_url=f"{url}/v1/datasets/{DATASET}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=_PATIENCE,
        )
        with self._client.stream("GET", "/snapshot") as answer:
            self._cursor = answer.headers["ShuQiao-Cursor"]
        read = self._events if kind == "events" else self._polls
        self._thread = threading.Thread(target=read, daemon=True)
        self._thread.start()
        time.sleep(_SETTLED)

    def join(self, seconds: float) -> None:
        """Wait until it has read everything, or for so long."""
        self._thread.join(seconds)
        self._client.close()

    def _events(self) -> None:
        with self._client.stream("GET", "/events", params={"cursor": self._cursor}) as answer:
            for line in answer.iter_lines():
                self._note(line)
                if len(self.seen) == self._wanted:
                    return

    def _polls(self) -> None:
        while len(self.seen) < self._wanted:
            asked = {"cursor": self._cursor, "wait": 10, "limit": 5000}
            page = json.loads(self._client.get("/records", params=asked).content)
            for record in page["records"]:
                self._note(str(record["value"]))
            self._cursor = page["cursor"]

    def _note(self, text: str) -> None:
        for number in _MARK.findall(text):
            self.seen.setdefault(int(number), time.perf_counter())


def _batches(broker: Broker, changes: int) -> Iterator[Batch]:
    """Commits of changes, each change with its number for a name."""
    dataset = broker.catalog.dataset(DATASET)
    topic, codec, sealer = dataset.collected_topic, Codec(dataset.schema), broker.sealer
    known = [
        (part, one)
        for part in range(dataset.partitions)
        for one in broker.log.read(topic, part, 0, _PEOPLE)
    ]
    each = A_SECOND // _COMMITS_A_SECOND
    for start in range(0, changes, each):
        batch = Batch()
        for number in range(start, start + each):
            part, record = known[number * 7919 % len(known)]
            opened = sealer.open(topic, record.key, record.value or b"")
            body = codec.encode(codec.decode(opened.body) | {"name": f"变{number}变"})
            sealed = sealer.seal(topic, record.key, opened.schema_id, body)
            batch.appends.append(Append(topic, part, record.key, sealed))
        yield batch


def _append(broker: Broker, batches: list[Batch]) -> tuple[float, list[float], list[float]]:
    """Append at the pace asked for; when it began, and each commit, by both clocks."""
    begun = time.perf_counter()
    appended: list[float] = []
    wall: list[float] = []
    for number, batch in enumerate(batches):
        time.sleep(max(0.0, begun + number / _COMMITS_A_SECOND - time.perf_counter()))
        appended.append(time.perf_counter())
        wall.append(time.time())
        broker.log.commit(batch)
    return begun, appended, wall


def _written(broker: Broker, share: Share) -> dict[int, float]:
    """When the relay wrote each change, by the shared topic's own times."""
    codec = Codec(share.schema)
    found: dict[int, float] = {}
    for part in range(broker.log.topics()[share.topic]):
        for record in broker.log.read(share.topic, part, 0, 1 << 30):
            name = codec.decode((record.value or b"")[5:])["name"]
            if mark := _MARK.fullmatch(name or ""):
                found[int(mark[1])] = record.timestamp / 1e3
    return found
