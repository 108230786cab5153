"""The most memory that the relay takes, as a process of its own, by the number of keys.

The records are sealed straight into the log, a thousand bodies under ever other keys: what is
known of a key does not depend on what stands under it.
"""

import hashlib
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.log.interface import Batch, Run
from broker.log.topics import partitions_of
from tests import kafka as on
from tests.bench.measure import highest_mb
from tests.bench.roles import running, until
from tests.bench.subject import DATASET, Sealed, matching, place, villages_of
from tests.bench.timetable import is_live, is_relayed

MILLION = 1_000_000
_BODIES = 1_000
_AT_ONCE = 20_000
_UPDATES = 200_000
_PATIENCE = 1_800.0


def memory(keys: int = MILLION) -> dict[str, Any]:
    """Peak MB after the first load of a share, and after updates of some of its keys."""
    with tempfile.TemporaryDirectory() as name, place(Path(name)) as broker:
        if broker.settings.kafka_servers:
            on.emptied(broker.log)  # type: ignore[arg-type]
        matching(broker, 1)
        broker.sharing.settle()
        broker.life.provision()
        started = time.monotonic()
        _fill(broker, keys)
        filled = time.monotonic() - started
        (share,) = broker.sharing.shares(DATASET)
        schemas = str(broker.settings.schemas)
        with running(Path(name), "relay", "controller", schemas=schemas) as roles:
            pid = roles["relay"].pid
            seconds = until(partial(is_live, broker, share.id), _PATIENCE)
            first = highest_mb(pid)
            _fill(broker, min(keys, _UPDATES))
            until(partial(is_relayed, broker), _PATIENCE)
            peak = highest_mb(pid)
        return {
            "keys": keys,
            "peak_mb": peak,
            "first_load_peak_mb": first,
            "first_load_seconds": round(seconds, 1),
            "filling_seconds": round(filled, 1),
        }


def _fill(broker: Broker, keys: int) -> None:
    """So many keys into the collected topic, always the same."""
    known = Sealed(broker, _BODIES, villages_of(broker, 4), plain=True)
    topic = known.dataset.collected_topic
    schema_id = broker.registry.schema_id(known.dataset.schema)
    for start in range(0, keys, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, keys))
        found = [_key(number) for number in numbers]
        bodies = [known.bodies[number % _BODIES] for number in numbers]
        values = broker.sealer.seal_all(topic, found, schema_id, bodies)
        places = partitions_of(found, known.dataset.partitions)
        runs = [
            Run(
                topic,
                partition,
                [key for key, at in zip(found, places, strict=True) if at == partition],
                [value for value, at in zip(values, places, strict=True) if at == partition],
            )
            for partition in range(known.dataset.partitions)
        ]
        broker.log.commit(Batch(runs=runs))


def _key(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()
