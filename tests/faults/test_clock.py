"""A clock that is set back an hour, over the end of a year: what had ended stays ended, a new
year is not taken back, nothing is stuck and nothing comes twice.
"""

import threading
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.errors import GrantError
from broker.relay.position import ordered_year
from broker.roles import run_roles
from broker.sharing.share import CLOSED, LIVE
from broker.web.delivery import Delivery
from tests import city
from tests.serving import change, live, served, until
from tests.unit.test_life import DATASET, NOW, people, share_of

MIDNIGHT = datetime(2027, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
HOUR = timedelta(hours=1)
RECORDS = f"/v1/datasets/{DATASET}/records"


class Clock:
    """Half an hour before the new year, until it is set otherwise."""

    def __init__(self) -> None:
        self.now = MIDNIGHT - HOUR / 2

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(tmp_path: Path, clock: Clock) -> Iterator[Broker]:
    people(tmp_path)
    found = Broker(city.settings(tmp_path, http_port=0, metrics_port=0), clock)
    city.collect(found)
    yield found
    found.close()


def test_a_share_that_had_ended_never_comes_back(broker: Broker, clock: Clock) -> None:
    over = city.grant(broker, "over", "name", valid_until="2026-12-31")
    stays = city.grant(broker, "stays", "sex")
    city.relay(broker)
    assert over.share and stays.share
    controller = broker.controller_role()
    clock.now = MIDNIGHT + HOUR / 2
    controller.look()
    for now in (MIDNIGHT - HOUR / 2, MIDNIGHT + HOUR):
        clock.now = now
        controller.look()
        city.relay(broker)
        assert broker.sharing.share(over.share.id).state == CLOSED
        assert over.share.topic not in broker.log.topics()
        with pytest.raises(GrantError, match="no right"):
            broker.sharing.readable(over.share.id, "over")
        assert broker.sharing.readable(stays.share.id, "stays").state == LIVE
        assert all(found.exact for found in compare_all(broker))
        # the day is over for good: the wrong hour opens nothing for it
        assert [one.readers for one in broker.sharing.audiences()] == [["stays"]]
        shared = [name for name in broker.log.topics() if name.startswith("shared.")]
        assert shared == [stays.share.topic]


def test_a_new_year_is_not_taken_back(broker: Broker, clock: Clock, tmp_path: Path) -> None:
    """Who was shown since he came of age is neither withdrawn nor written again."""
    born = date(2012, 5, 1)
    child = city.resident(9, NOW, csrq=f"{born:%Y%m%d}", gmsfhm=city.id_number(9, born))
    city.put(city.county(tmp_path, "371502"), child)
    city.collect(broker)
    one = city.grant(broker, "a", "name")
    city.relay(broker)
    assert len(city.shown(broker, one)) == 6 and one.share
    clock.now = MIDNIGHT + HOUR / 2
    city.relay(broker)
    ends = [broker.log.end(one.share.topic, part) for part in range(4)]
    assert len(city.shown(broker, one)) == 7 == sum(ends)
    clock.now -= HOUR
    again = city.grant(broker, "b", "sex")
    city.relay(broker)
    assert len(city.shown(broker, one)) == 7 == len(city.shown(broker, again))
    assert ordered_year(broker.log, DATASET) == 2027
    clock.now += HOUR
    city.relay(broker)
    assert ends == [broker.log.end(one.share.topic, part) for part in range(4)], "nothing twice"
    assert ordered_year(broker.log, DATASET) == 2027
    assert all(found.exact for found in compare_all(broker))


def test_the_roles_go_on(broker: Broker, clock: Clock, tmp_path: Path) -> None:
    one, over = city.grant(broker, "a", "name"), city.grant(broker, "over", "sex")
    stop, said = threading.Event(), list[str]()
    roles = [broker.relay_role(), broker.controller_role()]
    running = threading.Thread(
        target=run_roles,
        args=(roles, stop, broker.telemetry.emit, lambda role, words: said.append(words)),
    )
    running.start()
    try:
        with city.city(tmp_path) as beside:
            until(lambda: len(city.shown(broker, one)) == 6)
            for number, now in enumerate((MIDNIGHT + HOUR / 2, MIDNIGHT - HOUR / 2)):
                clock.now = now
                later = (NOW + timedelta(minutes=number + 1)).strftime("%Y-%m-%d %H:%M:%S")
                row = city.resident(number, NOW, xm=f"新{number}", gxsj=later)
                city.put(city.county(tmp_path, "371502"), row)
                city.collect(beside)
                name = row["xm"]
                until(
                    lambda name=name: name in [r["name"] for r in city.shown(broker, one).values()]
                )
            beside.sharing.revoke(over.grant.id, "r")
            until(lambda: over.share and beside.sharing.share(over.share.id).state == CLOSED)
            late = city.grant(beside, "late", "division_code")
            until(lambda: beside.sharing.share(share_of(beside, late)).state == LIVE)
    finally:
        stop.set()
        running.join(10)
    assert not running.is_alive() and said == []
    assert all(found.exact for found in compare_all(broker))


def test_what_was_deleted_stays_known_for_its_time(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tombstones that bear a time still to come are kept, and offsets go on growing."""
    one = city.grant(broker, "a", "name")
    city.relay(broker)
    later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
    city.put(city.county(tmp_path, "371502"), city.resident(1, NOW, gxsj=later, zxbz="1"))
    city.collect(broker)
    city.relay(broker)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600 * 10**9)
    later = (NOW + timedelta(minutes=2)).strftime("%Y-%m-%d %H:%M:%S")
    city.put(
        city.county(tmp_path, "371502"),
        city.resident(2, NOW, gxsj=later, zxbz="1"),
        *(city.resident(n, NOW, gxsj=later) for n in range(10, 40)),
    )
    city.collect(broker)
    city.relay(broker)
    broker.controller_role().compact()
    assert one.share
    records = [r for p in range(4) for r in broker.log.read(one.share.topic, p, 0, 100)]
    assert sum(record.value is None for record in records) == 2
    assert len(city.shown(broker, one)) == 34
    assert all(found.exact for found in compare_all(broker))


def test_cursors_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor from an hour still to come is neither too old nor read again."""
    now = [time.time()]
    monkeypatch.setattr(Delivery.__init__, "__defaults__", (lambda: now[0],))
    with served(tmp_path, 6) as web:
        live(web.broker, "a")
        client = web.client("a")
        first = client.get(RECORDS).json()
        assert len(first["records"]) == 6
        now[0] -= 3_600
        answer = client.get(RECORDS, params={"cursor": first["cursor"]})
        assert answer.status_code == 200, answer.text
        nothing = answer.json()
        assert nothing["records"] == []
        change(tmp_path, web.broker, 1, xm="新")
        for cursor in (first["cursor"], nothing["cursor"]):
            (record,) = client.get(RECORDS, params={"cursor": cursor}).json()["records"]
            assert record["value"]["name"] == "新"
