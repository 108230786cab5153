"""From a change to the consumer, at shares of what the relay can do: 10, 50 and 80 %.

The relay is a process of its own. Changes come by a timetable, whatever they meet; the delay of
each counts from when it was due, not from when somebody got round to it (so that a stall is not
left out), to when a reader of the share's topic has it.
"""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.sharing.share import Share
from tests import city
from tests import kafka as on
from tests.bench.measure import spread
from tests.bench.roles import running
from tests.bench.rows import kept
from tests.bench.subject import DATASET, Sealed, matching, place, villages_of

CAPACITY = "relay, 1 share, updates"
PARTS = (0.1, 0.5, 0.8)
_TICK = 0.02
_SECONDS = 6.0
_SETTLED = 3.0
_PEOPLE = 100_000
_PATIENCE = 30.0


def delays(engine: str, transport: str) -> dict[str, Any]:
    """By part of the capacity, which is that of the path's row: changes a second as asked for and
    as they were made, and the spread of their delays."""
    found = [one for one in kept() if one.place == (CAPACITY, engine, transport)]
    if not found or found[0].records_per_s is None:
        raise RuntimeError("measure the path first: the capacity is its row's")
    capacity = found[0].records_per_s
    with tempfile.TemporaryDirectory() as name, place(Path(name)) as broker:
        if broker.settings.kafka_servers:
            on.emptied(broker.log)  # type: ignore[arg-type]
        sealed = Sealed(broker, _PEOPLE, villages_of(broker, 4))
        matching(broker, 1)
        broker.sharing.settle()
        broker.life.provision()
        sealed.append()
        city.relay(broker, DATASET)
        (share,) = broker.sharing.shares(DATASET)
        schemas = str(broker.settings.schemas)
        with running(Path(name), "relay", "controller", schemas=schemas):
            time.sleep(_SETTLED)
            return {
                "capacity": capacity,
                **{
                    f"{part:.0%}": _at(broker, share, sealed, round(capacity * part))
                    for part in PARTS
                },
            }


def _at(broker: Broker, share: Share, sealed: Sealed, rate: int) -> dict[str, Any]:
    """So many changes a second."""
    each = max(1, round(rate * _TICK))
    ticks = round(_SECONDS / _TICK)
    reader = _Reader(broker, share, each * ticks)
    reader.start()
    started = time.monotonic()
    number = 0
    for tick in range(ticks):
        due = started + tick * _TICK
        time.sleep(max(0.0, due - time.monotonic()))
        some = [(number + n) % sealed.people for n in range(each)]
        reader.due(sealed.share_keys(broker, share, some), due)
        sealed.change(some)
        number += each
    took = time.monotonic() - started
    reader.join(_PATIENCE)
    reader.over.set()
    reader.join()
    return {
        "changes_per_s": rate,
        "achieved_per_s": round(number / took),
        "not_read": number - len(reader.took),
        **spread(reader.took),
    }


class _Reader(threading.Thread):
    """Reads the share from its end on, and takes the time of what was due."""

    def __init__(self, broker: Broker, share: Share, wanted: int) -> None:
        super().__init__(daemon=True)
        self.took: list[float] = []
        self.over = threading.Event()
        self._log = broker.log
        self._topic = share.topic
        self._wanted = wanted
        self._due: dict[bytes, float] = {}
        partitions = broker.log.topics()[share.topic]
        self._offsets = [broker.log.end(share.topic, number) for number in range(partitions)]

    def due(self, keys: list[bytes], moment: float) -> None:
        """Those are due to be changed then."""
        self._due.update(dict.fromkeys(keys, moment))

    def run(self) -> None:
        """Until everything was read."""
        seen = self._log.changes()
        while len(self.took) < self._wanted and not self.over.is_set():
            if not any([self._read(number) for number in range(len(self._offsets))]):
                seen = self._log.wait(seen, 0.05)

    def _read(self, number: int) -> bool:
        page = self._log.page(self._topic, number, self._offsets[number], 10_000)
        if not page.keys:
            return False
        now = time.monotonic()
        self.took += [now - self._due.pop(key) for key in page.keys if key in self._due]
        self._offsets[number] = page.offsets[-1] + 1
        return True
