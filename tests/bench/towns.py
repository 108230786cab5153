"""Cities of a known size for the figures: residents, a share, a share of very many rows."""

import hashlib
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from broker.bootstrap import Broker
from broker.log.interface import Append, Batch
from broker.sharing.share import Share
from tests import city

DATASET = "ga.resident_base"
_AT_ONCE = 5_000


def settle_people(folder: Path, people: int, villages: list[str] | None = None) -> None:
    """Residents in a county's database, spread evenly over the villages, the last changes of
    each a minute apart: an overlap window holds few of them."""
    city.use_mapping(folder)
    moment = datetime.now() - timedelta(days=1)
    places = villages or list(city.TOWNS[:1])
    with sqlite3.connect(city.county(folder, "371502")) as db:
        for index in range(people):
            place, changed = places[index % len(places)], moment - timedelta(minutes=index)
            city.add(db, city.resident(index, changed, xzqh=place))


def filled(folder: Path, broker: Broker, people: int) -> None:
    """So many residents, collected."""
    settle_people(folder, people)
    city.collect(broker, limit=broker.settings.batch)


def live(broker: Broker, consumer: str, items: str = "name sex birth_date") -> Share:
    """The live share of a new consumer."""
    outcome = city.grant(broker, consumer, items)
    if outcome.opening or outcome.share is None or outcome.share.state != "LIVE":
        city.relay(broker)
    if outcome.share is None:
        raise RuntimeError("the grant was refused")
    return outcome.share


def enlarge(broker: Broker, share: Share, records: int) -> None:
    """Make a share large: its values again under other keys, straight into the log. The keys are
    hashes, as a share's own are."""
    partitions = broker.log.topics()[share.topic]
    values = [
        one.value
        for part in range(partitions)
        for one in broker.log.read(share.topic, part, 0, 1_000)
    ]
    for start in range(0, records, _AT_ONCE):
        appends = [
            Append(share.topic, n % partitions, _key(n), values[n % len(values)])
            for n in range(start, min(start + _AT_ONCE, records))
        ]
        broker.log.commit(Batch(appends=appends))


def _key(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()
