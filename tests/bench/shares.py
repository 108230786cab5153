"""The relay's cost by the number of shares: villages alone, villages within towns and
counties, and the catch-up of very many shares in one pass.

The shares are real villages, the records spread evenly over exactly those: of the villages'
shares each record reaches one, with towns and counties beside them three.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.model import Level
from broker.policy.model import Consumer
from broker.relay.progress import Progress
from broker.relay.yearly import order_year
from broker.sharing import grants as ledger
from broker.sharing.application import Application
from tests import city
from tests.bench.measure import measured, rate
from tests.bench.towns import DATASET, settle_people

VILLAGES = (10, 100, 1000)


def by_shares() -> dict[str, Any]:
    """Both cases by number of villages, and what 1,000 cost in terms of what 10 cost."""
    alone = {str(number): villages_alone(number) for number in VILLAGES}
    nested = {str(number): villages_nested(number) for number in VILLAGES}
    return {
        "villages": alone,
        "villages_towns_counties": nested,
        "cost_1000_to_10": {
            "relay": _ratio(alone, "relay"),
            "catch_up_together": _ratio(alone, "catch_up_together"),
            "relay_nested": _ratio(nested, "relay"),
        },
    }


def villages_alone(villages: int, records: int = 40_000) -> dict[str, Any]:
    """The common pass into so many shares; then as many again, opened together, in one pass."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        places = _villages(broker, villages)
        _open(Path(name), broker, places)
        settle_people(Path(name), records, places)
        city.collect(broker, limit=broker.settings.batch)
        found = _passed(broker, "relay")
        give(broker, places, "q")
        return found | _passed(broker, "catch_up_together")


def villages_nested(villages: int, records: int = 20_000) -> dict[str, Any]:
    """The same with a share for every town and every county of the villages."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        places = _villages(broker, villages)
        scopes = [*places, *_distinct(places, 9), *_distinct(places, 6)]
        _open(Path(name), broker, scopes)
        settle_people(Path(name), records, places)
        city.collect(broker, limit=broker.settings.batch)
        return {"shares": len(scopes), **_passed(broker, "relay")}


def _open(folder: Path, broker: Broker, scopes: list[str]) -> None:
    """A live share for each scope, before there is any record."""
    settle_people(folder, 0)
    city.collect(broker)
    give(broker, scopes)
    city.relay(broker)


def give(broker: Broker, scopes: list[str], purpose: str = "p") -> None:
    """A grant for each scope, put down together and settled once."""
    broker.sharing.settle()
    with broker.store.writing() as connection:
        for scope in scopes:
            consumer = Consumer(f"{purpose}{scope}", "mz", Level.L3)
            ledger.put_consumer(connection, consumer, "")
            asked = Application(
                consumer.id, DATASET, ["name", "sex", "birth_date"], purpose, "b", scope,
                "2026-01-01", "2099-01-01", "i", "n",
                filter="" if purpose == "p" else "{not: {is_null: sex}}",
            )  # fmt: skip
            ledger.put_grant(connection, asked.grant(consumer, broker.catalog, broker.divisions))
    broker.sharing.settle()


def _passed(broker: Broker, name: str) -> dict[str, Any]:
    """One pass up to the end; deciding and opening the shares stands apart."""
    shares = partial(broker.sharing.shares, DATASET)
    opened = broker.sharing.settle, broker.life.provision, shares
    _, *deciding = measured(lambda: [step() for step in opened])
    order_year(broker.log, DATASET, broker.today.year)
    dataset = broker.catalog.dataset(DATASET)
    progress: Progress
    progress, *passing = measured(lambda: broker.relay.run_once(dataset, shares))
    _, *opening = measured(broker.life.advance)
    return {
        name: {
            **rate(progress.read, *passing),
            "written": progress.written,
            "seconds": round(passing[0], 2),
            "seconds_beside_it_to_decide_and_open": round(deciding[0] + opening[0], 2),
        }
    }


def _villages(broker: Broker, number: int) -> list[str]:
    return [one.code for one in broker.divisions.all() if one.tier == "village"][:number]


def _distinct(places: list[str], digits: int) -> list[str]:
    return list(dict.fromkeys(place[:digits] for place in places))


def _ratio(found: dict[str, dict[str, Any]], name: str) -> float:
    few, many = found[str(VILLAGES[0])][name], found[str(VILLAGES[-1])][name]
    return round(many["cpu_us_per_record"] / few["cpu_us_per_record"], 2)
