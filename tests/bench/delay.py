"""From a change to the consumer, at parts of what can be done here: 10, 50 and 80 %.

The relay is a process of its own; loader and reader are threads of this one, and on Kafka the
broker runs here as well. What the relay does alone (the row of the path) is therefore out of reach
where all of them share the cores. The capacity is what the whole chain sustains, found first in the
same run: the loader goes on as long as no more than `_AHEAD` changes are on their way. Of the
two the lesser counts, and both are told.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.sharing.share import Share
from tests import kafka as on
from tests.bench.roles import running, until
from tests.bench.rows import kept
from tests.bench.subject import DATASET, Sealed, matching, place, villages_of
from tests.bench.timetable import Reader, Timetable, is_live, told, turns

ALONE = "relay, 1 share, updates"
PARTS = (0.1, 0.5, 0.8)
SETTLED = 3.0
_SECONDS = 8.0
_WARM = 15.0
"""Seconds before the capacity counts: a broker that has just started compiles itself."""
_PATIENCE = 300.0
_PEOPLE = 200_000
_AHEAD = 40_000
_AT_ONCE = 2_000
"""Changes a commit, while the capacity is looked for: as a connector's batch."""


def delays(engine: str, transport: str) -> dict[str, Any]:
    """The capacity, and by part of it the changes a second as asked for and as they were made,
    and the spread of their delays."""
    with subject(_PEOPLE) as (broker, sealed, share):
        chain = _capacity(broker, share, sealed)
        alone = [one.records_per_s for one in kept() if one.place == (ALONE, engine, transport)]
        capacity = min(chain, *(round(one) for one in alone if one))
        found: dict[str, Any] = {"capacity": capacity, "chain": chain}
        found["relay_alone"] = alone[0] if alone else None
        for part in PARTS:
            found[f"{part:.0%}"] = _at(broker, share, sealed, capacity * part)
        return found


@contextmanager
def subject(people: int) -> Iterator[tuple[Broker, Sealed, Share]]:
    """A city with so many people and a live share of them all; relay and controller run. Here
    nothing is relayed: on Kafka this process would be given partitions as well."""
    with tempfile.TemporaryDirectory() as name, place(Path(name)) as broker:
        if broker.settings.kafka_servers:
            on.emptied(broker.log)  # type: ignore[arg-type]
        sealed = Sealed(broker, people, villages_of(broker, 4))
        matching(broker, 1)
        broker.sharing.settle()
        broker.life.provision()
        sealed.append()
        (share,) = broker.sharing.shares(DATASET)
        schemas = str(broker.settings.schemas)
        with running(Path(name), "relay", "controller", schemas=schemas):
            until(partial(is_live, broker, share.id), _PATIENCE)
            time.sleep(SETTLED)
            yield broker, sealed, share


def _capacity(broker: Broker, share: Share, sealed: Sealed) -> int:
    """Changes a second that come through where the loader only waits for the reader."""
    reader, some, sent = Reader(broker, share), turns(sealed.people), 0
    reader.start()
    marks = list[tuple[float, int]]()
    started = time.monotonic()
    for moment in (started + _WARM, started + _WARM + _SECONDS):
        while time.monotonic() < moment:
            if sent - reader.records < _AHEAD:
                sealed.change(some(_AT_ONCE))
                sent += _AT_ONCE
            else:
                time.sleep(0.001)
        marks.append((time.monotonic(), reader.records))
    reader.end()
    (begun, before), (over, after) = marks
    return round((after - before) / (over - begun))


def _at(broker: Broker, share: Share, sealed: Sealed, rate: float) -> dict[str, Any]:
    """So many changes a second."""
    reader, loader = Reader(broker, share), Timetable(sealed, rate, _SECONDS)
    reader.start()
    loader.start()
    loader.join()
    reader.end()
    return loader.told() | told([took for _, took in reader.delays(sealed, loader.due)])
