"""Shares that open beside others, and beside each other: none shows what nobody may see there."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from broker.bootstrap import Broker
from broker.errors import UnknownTopic
from broker.log.topics import share_positions
from broker.pseudonym import keyed_hash
from broker.relay.slices import Slices
from broker.relay.yearly import order_year
from broker.sharing.service import Outcome
from broker.sharing.share import JOINED
from tests import city
from tests.unit.test_yearly import DATASET, NOW, TOPIC, first_of_many, move, step

PARENTS = {"filter": "{age_under: 16}", "minors": "basis"}
BORN = date(2010, 5, 1)


@contextmanager
def one_live(folder: Path) -> Iterator[tuple[Broker, bytes, int]]:
    """A city with a live share; the first record of a partition that has some more."""
    city.fill(folder, range(24), NOW)
    with city.city(folder, relay_batch=1) as broker:
        city.collect(broker)
        city.grant(broker, "wide", "sex")
        city.relay(broker)
        yield broker, *first_of_many(broker)


def opening(broker: Broker, consumer: str, items: str, **more: str) -> Outcome:
    """A share that has a topic; nothing of it is relayed yet."""
    granted = city.grant(broker, consumer, items, **more)  # type: ignore[arg-type]
    broker.sharing.settle()
    broker.life.provision()
    return granted


def place(broker: Broker, granted: Outcome, partition: int) -> bytes | None:
    assert granted.share
    return broker.log.position(f"{share_positions(granted.share.id)}{partition}")


def versions(broker: Broker, granted: Outcome, partition: int, key: bytes) -> list[bytes | None]:
    """What a share has of a collected key, one after the other."""
    assert granted.share
    own = keyed_hash(broker.keyring.key(f"share.{granted.share.id}"), key)
    stands = broker.log.read(granted.share.topic, partition, 0, 999)
    return [one.value for one in stands if one.key == own]


def finish(broker: Broker, partition: int) -> None:
    while step(broker, partition):
        continue


def test_a_share_that_opens_beside_another_gets_nothing_that_was_superseded_by_then(
    tmp_path: Path,
) -> None:
    with one_live(tmp_path) as (broker, key, partition):
        first = opening(broker, "first", "name")
        step(broker, partition)  # it has looked which versions are superseded
        move(broker, tmp_path, key)
        step(broker, partition)
        assert place(broker, first, partition) not in (None, JOINED)
        town = opening(broker, "town", "name", scope="371502001")
        finish(broker, partition)
        assert place(broker, town, partition) == JOINED
        assert versions(broker, town, partition, key) == [], "he had left before it opened"


def test_a_share_that_opens_and_is_not_shown_for_a_moment_loses_nobodys_tombstone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a broker that has not heard of its topic yet."""
    with one_live(tmp_path) as (broker, key, partition):
        town = opening(broker, "town", "name", scope="371502001")
        step(broker, partition)
        assert versions(broker, town, partition, key)[-1] and town.share
        move(broker, tmp_path, key)
        hidden, there = town.share.topic, broker.log.there
        with monkeypatch.context() as patched:
            patched.setattr(broker.log, "there", lambda names: there(names) - {hidden})
            with pytest.raises(UnknownTopic, match="not shown"):
                step(broker, partition)
        finish(broker, partition)
        assert versions(broker, town, partition, key)[-1] is None


def test_a_year_that_turns_while_a_share_opens_takes_out_who_is_too_old(tmp_path: Path) -> None:
    children(tmp_path)
    with city.city(tmp_path, date(2026, 12, 31), relay_batch=1) as broker:
        city.collect(broker)
        city.grant(broker, "wide", "id_no sex", filter="{age_under: 90}", minors="basis")
        city.relay(broker)
        _, partition = first_of_many(broker)
        late = opening(broker, "late", "id_no birth_date", **PARENTS)
        for _ in range(3):
            step(broker, partition)
        assert held(broker, late, partition)
        order_year(broker.log, DATASET, 2027)
        finish(broker, partition)
        assert not held(broker, late, partition)


def test_who_is_too_old_stays_out_whatever_changes_after_the_year_has_turned(
    tmp_path: Path,
) -> None:
    """In one process, which has judged the same records by the year before."""
    children(tmp_path)
    with city.city(tmp_path, date(2026, 12, 31)) as broker:
        city.collect(broker)
        young = city.grant(broker, "young", "id_no birth_date", **PARENTS)
        city.relay(broker)
        assert len(city.shown(broker, young)) == 24
        for minutes in (1, 2, 3):
            if minutes == 2:
                order_year(broker.log, DATASET, 2027)
            children(tmp_path, gxsj=f"{NOW + timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S}")
            city.collect(broker)
            for partition in range(4):
                finish(broker, partition)
            assert len(city.shown(broker, young)) == (24 if minutes == 1 else 0)


def children(folder: Path, **more: Any) -> None:
    """Sixteen in 2026."""
    city.use_mapping(folder)
    rows = [
        city.resident(n, NOW, csrq=f"{BORN:%Y%m%d}", gmsfhm=city.id_number(n, BORN), **more)
        for n in range(24)
    ]
    city.put(city.county(folder, "371502"), *rows)


def held(broker: Broker, granted: Outcome, partition: int) -> int:
    """How many keys have a value."""
    assert granted.share
    stands = broker.log.read(granted.share.topic, partition, 0, 999)
    return sum(value is not None for value in {one.key: one.value for one in stands}.values())


def test_of_what_is_superseded_more_is_read_at_once(tmp_path: Path) -> None:
    """And of what is not no more than a batch may have."""
    city.fill(tmp_path, range(60), NOW)
    with city.city(tmp_path, relay_batch=100) as broker:
        city.collect(broker)
        wide = city.grant(broker, "wide", "sex")
        for minutes in range(1, 8):
            city.fill(tmp_path, range(60), NOW + timedelta(minutes=minutes))
            city.collect(broker)
        city.relay(broker)
        _, partition = first_of_many(broker)
        paces = broker.relay._paces[DATASET, partition]
        paces.beside.limit = paces.beside._most = 2
        late = opening(broker, "late", "name")
        assert late.share
        ends = [0]
        while step(broker, partition):
            ends.append(broker.log.end(late.share.topic, partition))
        assert max(after - before for before, after in pairwise(ends)) <= 2
        assert len(city.shown(broker, wide)) == 60
        records = broker.log.end(TOPIC, partition)
        assert len(ends) < records / 3, "not two at a time"


def test_in_a_round_a_few_have_their_turn_and_nobody_waits_for_ever() -> None:
    slices = Slices()
    places = [("x", number) for number in range(10)]
    assert all(slices.take(one) for one in places), "without rounds nobody waits"
    turns = list[tuple[str, int]]()
    for _ in range(5):
        slices.begin()
        turns += [one for one in places if slices.take(one)]
    assert set(turns[:12]) == set(places) and len(turns) == 20


def test_who_wants_no_turn_any_more_keeps_nobody_waiting() -> None:
    slices = Slices()
    places = [("x", number) for number in range(10)]
    slices.begin()
    for one in places:
        slices.take(one)
    turns = set[tuple[str, int]]()
    for _ in range(4):
        slices.begin()
        turns |= {one for one in places[:4] if slices.take(one)}
    assert turns == set(places[:4])
