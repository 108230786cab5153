"""The yearly pass: who comes of age, who is too old, and what a share never shows again."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.errors import LogFull
from broker.log.interface import Batch
from broker.log.topics import share_positions
from broker.pseudonym import keyed_hash
from broker.relay.yearly import order_year
from broker.sharing.share import JOINED
from tests import city

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"
TOPIC = f"collected.{DATASET}"


def test_a_new_year_lets_in_who_has_come_of_age_and_takes_out_who_is_too_old(
    tmp_path: Path,
) -> None:
    city.use_mapping(tmp_path)
    year = 2026
    births = [date(year - 13, 12, 31), date(year - 14, 1, 1), date(year - 16, 6, 1)]
    rows = [
        city.resident(n, NOW, csrq=f"{born:%Y%m%d}", gmsfhm=city.id_number(n, born))
        for n, born in enumerate(births)
    ]
    city.put(city.county(tmp_path, "371502"), *rows)
    young = "{age_under: 16}"
    with city.city(tmp_path, date(year, 12, 31)) as broker:
        city.collect(broker)
        adults = city.grant(broker, "adults", "name")
        under = city.grant(broker, "under", "id_no birth_date", filter=young, minors="basis")
        city.relay(broker)
        assert len(city.shown(broker, adults)) == 1
        assert len(city.shown(broker, under)) == 3
        before = city.end_of(broker, adults)
    with city.city(tmp_path, date(year + 1, 1, 1), relay_batch=1) as broker:
        progress = city.relay(broker)
        assert (progress.written, progress.tombstones) == (1, 1)
        assert len(city.shown(broker, adults)) == 2, "14 by the end of last year"
        assert len(city.shown(broker, under)) == 2, "16 by the end of this year"
        assert city.end_of(broker, adults) == before + 1, "who was in it is not written again"
        assert city.relay(broker).commits == 0
    with city.city(tmp_path, date(year, 12, 31)) as broker:
        assert city.relay(broker).commits == 0, "a clock that goes back changes nothing"


def test_ages_are_judged_by_the_committed_year_until_another_is_ordered(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    born = date(2013, 5, 1)
    path = city.county(tmp_path, "371502")
    number = city.id_number(1, born)
    child = city.resident(1, NOW, csrq=f"{born:%Y%m%d}", gmsfhm=number)
    city.put(path, city.resident(2, NOW))
    with city.city(tmp_path, date(2027, 12, 31)) as broker:
        city.collect(broker)
        adults = city.grant(broker, "adults", "name")
        city.relay(broker)
    city.put(path, child)
    with city.city(tmp_path, date(2028, 1, 1)) as broker:
        city.collect(broker)
        dataset = broker.catalog.dataset(DATASET)
        broker.relay.run_once(dataset, lambda: broker.sharing.shares(DATASET))
        assert len(city.shown(broker, adults)) == 1, "judged by 2027"
        city.relay(broker)
        assert len(city.shown(broker, adults)) == 2, "judged by 2028"


def test_a_yearly_pass_that_could_not_be_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.use_mapping(tmp_path)
    born = date(2013, 5, 1)
    child = city.resident(1, NOW, csrq=f"{born:%Y%m%d}", gmsfhm=city.id_number(1, born))
    city.put(city.county(tmp_path, "371502"), child)
    with city.city(tmp_path, date(2027, 12, 31)) as broker:
        city.collect(broker)
        adults = city.grant(broker, "adults", "name")
        city.relay(broker)
    with city.city(tmp_path, date(2028, 1, 1)) as broker:
        commit, faults = broker.log.commit, [LogFull("planted")]

        def once_full(batch: Batch) -> None:
            if batch.records() and faults:
                raise faults.pop()
            commit(batch)

        monkeypatch.setattr(broker.log, "commit", once_full)
        with pytest.raises(LogFull):
            city.relay(broker)
        city.relay(broker)
        assert len(city.shown(broker, adults)) == 1


def test_it_shows_nobody_again_who_moved_while_a_share_was_opening(tmp_path: Path) -> None:
    """What the catch-up knew of later versions ended where it had begun."""
    city.fill(tmp_path, range(24), NOW)
    with city.city(tmp_path, date(2026, 12, 31), relay_batch=1) as broker:
        city.collect(broker)
        town = city.grant(broker, "town", "name", scope="371502001")
        city.relay(broker)
        key, partition = first_of_many(broker)
        late = city.grant(broker, "late", "name")
        broker.sharing.settle()
        broker.life.provision()
        step(broker, partition)  # the catch-up has looked which versions are superseded
        move(broker, tmp_path, key)
        step(broker, partition)
        assert late.share and town.share
        place = f"{share_positions(late.share.id)}{partition}"
        assert broker.log.position(place) not in (None, JOINED), "it is still opening"
        order_year(broker.log, DATASET, 2027)
        while step(broker, partition):
            continue
        assert broker.log.position(place) == JOINED
        own = keyed_hash(broker.keyring.key(f"share.{town.share.id}"), key)
        stands = broker.log.read(town.share.topic, partition, 0, 99)
        assert [one.value is None for one in stands if one.key == own] == [False, True]


def first_of_many(broker: Broker) -> tuple[bytes, int]:
    """The first record of a partition that has some more: its key, the partition."""
    for partition in range(4):
        keys = [key for _, key in broker.log.keys(TOPIC, partition, 0, 99)]
        if len(keys) > 3:
            return keys[0], partition
    raise AssertionError("every partition is nearly empty")


def step(broker: Broker, partition: int) -> bool:
    """One step of the relay; whether anything was done."""
    dataset = broker.catalog.dataset(DATASET)
    return broker.relay.step(dataset, partition, lambda: broker.sharing.shares(DATASET)).worked


def move(broker: Broker, folder: Path, key: bytes) -> None:
    """The person of this record moves to another town."""
    secret = broker.keyring.key(f"record.{DATASET}")
    (row,) = (
        row
        for row in (city.resident(number, NOW) for number in range(24))
        if keyed_hash(secret, json.dumps([row["gmsfhm"]]).encode()) == key
    )
    later = f"{NOW + timedelta(minutes=1):%Y-%m-%d %H:%M:%S}"
    city.put(city.county(folder, "371502"), {**row, "xzqh": city.TOWNS[1], "gxsj": later})
    city.collect(broker)
