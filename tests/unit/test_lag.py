"""Lag and the log's transactions as metrics: what they say before, while and after."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from broker.bootstrap import Broker
from broker.errors import LogError, PositionMoved
from broker.log.interface import Batch, PositionWrite
from broker.relay.display import Display
from broker.relay.lag import LagCollector
from tests import city

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
DATASET = "ga.resident_base"
PARTITIONS = range(4)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    city.use_mapping(tmp_path)
    city.put(city.county(tmp_path, "371502"), *(city.resident(n, NOW) for n in range(20)))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        yield broker


def scraped(broker: Broker) -> CollectorRegistry:
    registry = CollectorRegistry()
    datasets = list(broker.catalog.datasets.values())
    registry.register(LagCollector(lambda: broker.log, datasets, broker.sharing.shares))
    return registry


def lag(registry: CollectorRegistry, whose: str, name: str, unit: str = "records") -> float:
    label = "dataset" if whose == "relay" else "share"
    found = (
        registry.get_sample_value(f"shuqiao_{whose}_lag_{unit}", {label: name, "partition": str(n)})
        for n in PARTITIONS
    )
    return sum(one or 0.0 for one in found)


def test_lag_is_what_is_waiting_and_nothing_once_it_is_relayed(broker: Broker) -> None:
    one = city.grant(broker, "a", "name")
    assert one.share
    registry = scraped(broker)
    assert lag(registry, "relay", DATASET) == 20 == lag(registry, "share", one.share.id)
    assert lag(registry, "relay", DATASET, "seconds") > 0
    city.relay(broker)
    for whose, name in (("relay", DATASET), ("share", one.share.id)):
        for unit in ("records", "seconds"):
            assert lag(registry, whose, name, unit) == 0
    later = city.grant(broker, "b", "sex")
    assert later.share
    broker.life.provision()
    assert lag(registry, "share", later.share.id) == 20, "it has still to catch up"
    assert lag(registry, "share", one.share.id) == 0 == lag(registry, "relay", DATASET)
    assert registry.get_sample_value("shuqiao_log_reached") == 1


def test_where_the_log_does_not_answer_that_is_said(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = scraped(broker)

    def away() -> dict[str, int]:
        raise LogError("it does not answer")

    monkeypatch.setattr(broker.log, "topics", away)
    assert registry.get_sample_value("shuqiao_log_reached") == 0
    assert (
        registry.get_sample_value(
            "shuqiao_relay_lag_records", {"dataset": DATASET, "partition": "0"}
        )
        is None
    )


def test_transactions_are_counted_by_what_became_of_them(broker: Broker) -> None:
    registry = scraped(broker)

    def count(outcome: str) -> float:
        name = "shuqiao_log_transactions_total"
        return registry.get_sample_value(name, {"outcome": outcome}) or 0.0

    before = count("committed"), count("fenced")
    broker.log.commit(Batch(positions=[PositionWrite("x", None, b"1")]))
    with pytest.raises(PositionMoved):
        broker.log.commit(Batch(positions=[PositionWrite("x", None, b"2")]))
    assert (count("committed"), count("fenced")) == (before[0] + 1, before[1] + 1)


def test_what_is_shown_is_shown_once_a_minute_and_a_few_at_a_time(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(broker.log, "show", lambda reached: shown.append(",".join(reached)))
    monkeypatch.setattr("broker.relay.display._AT_ONCE", 2)
    shares = [
        city.grant(broker, f"c{n}", items).share
        for n, items in enumerate(("name", "sex", "name sex"))
    ]
    city.relay(broker)
    display = Display(broker.log, [broker.catalog.dataset(DATASET)], broker.sharing.shares)
    for _ in range(5):
        display.step()
    names = [one for line in shown for one in line.split(",")]
    assert [line.count(",") for line in shown] == [1, 0]
    assert sorted(names) == sorted(f"shuqiao.share.{one.id}" for one in shares if one)
    monkeypatch.setattr(display, "_next", 0.0)
    display.step()
    assert len(shown) == 3
