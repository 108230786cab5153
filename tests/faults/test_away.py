"""What happens while the relay is away: records move and vanish, the collected topic is
compacted, caches are gone. Every share that held such a record gets its tombstone.
"""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.sharing.service import Outcome
from tests import city, recompute

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"
GONE = {"moved": {"xzqh": city.TOWNS[2]}, "deleted": {"zxbz": "1"}}
AWAY = range(0, 12, 3)


def write(folder: Path, minutes: int, numbers: range, **changes: str) -> None:
    later = (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")
    rows = (city.resident(n, NOW, **{"gxsj": later, **changes}) for n in numbers)
    city.put(city.county(folder, "371502"), *rows)


def compacted(broker: Broker) -> int:
    """Keep the last version of every collected key, as an engine of its own may at any time."""
    topic = broker.catalog.dataset(DATASET).collected_topic
    return sum(broker.log.compact(topic, part, None, 0) for part in range(4))


def tombstones(broker: Broker, outcome: Outcome) -> int:
    assert outcome.share
    return sum(
        record.value is None
        for part in range(4)
        for record in broker.log.read(outcome.share.topic, part, 0, 1_000)
    )


@pytest.mark.parametrize("what", GONE)
def test_the_share_that_held_it_gets_its_tombstone(tmp_path: Path, what: str) -> None:
    city.use_mapping(tmp_path)
    write(tmp_path, 0, range(12), xzqh=city.TOWNS[0])
    with city.city(tmp_path) as broker:
        here = city.grant(broker, "here", "name", scope="371502")
        there = city.grant(broker, "there", "name", scope="371503")
        city.collect(broker)
        city.relay(broker)
        assert len(city.shown(broker, here)) == 12 and city.shown(broker, there) == {}
    with city.city(tmp_path) as broker:  # the relay is away; the connector is not
        write(tmp_path, 1, AWAY, xm="中间")
        city.collect(broker)
        write(tmp_path, 2, AWAY, **GONE[what])
        city.collect(broker)
        assert compacted(broker) == 8, "nobody can see any more that they were here"
    with city.city(tmp_path, relay_batch=3) as broker:  # nothing is remembered but the log
        city.relay(broker)
        assert len(city.shown(broker, here)) == 8 and tombstones(broker, here) == len(AWAY)
        assert len(city.shown(broker, there)) == (len(AWAY) if what == "moved" else 0)
        assert tombstones(broker, there) == 0, "it never held them"
        for one in (here, there):
            assert recompute.held(broker, one) == recompute.wanted(broker, one)
        assert all(found.exact for found in compare_all(broker))


@pytest.mark.parametrize("what", GONE)
def test_also_where_the_share_was_in_the_middle_of_opening(tmp_path: Path, what: str) -> None:
    """Some partitions have caught up, some are half way, when the relay goes away."""
    city.use_mapping(tmp_path)
    write(tmp_path, 0, range(120), xzqh=city.TOWNS[0])
    away = range(0, 120, 3)
    with city.city(tmp_path, relay_batch=4) as broker:
        city.collect(broker)
        first = city.grant(broker, "first", "sex")
        city.relay(broker)
        late = city.grant(broker, "late", "name", scope="371502")
        broker.life.provision()
        dataset = broker.catalog.dataset(DATASET)
        # enough that some of those who go are among them, in whichever partition they are
        for part in (0, 0, 0, 0, 0, 1, 1, 1, 2):
            broker.relay.step(dataset, part, lambda: broker.sharing.shares(DATASET))
        held = recompute.held(broker, late)
        assert 30 < len(held) < 120
    with city.city(tmp_path) as broker:
        write(tmp_path, 2, away, **GONE[what])
        city.collect(broker)
        assert compacted(broker) == len(away)
    with city.city(tmp_path, relay_batch=3) as broker:
        city.relay(broker)
        for one in (first, late):
            assert recompute.held(broker, one) == recompute.wanted(broker, one)
        assert len(recompute.held(broker, late)) == 120 - len(away)
        assert 0 < tombstones(broker, late) <= len(held)
        assert all(found.exact for found in compare_all(broker))
