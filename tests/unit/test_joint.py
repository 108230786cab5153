"""Small batches of several partitions land by one commit, or each by its own."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.bootstrap import Broker
from broker.errors import LogError, PositionMoved
from broker.log.interface import Batch, Page, Place
from broker.relay import joint
from broker.sharing.service import Outcome
from tests import city

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"
TOPIC = f"collected.{DATASET}"
PEOPLE = 40


@contextmanager
def changed(folder: Path, **settings: Any) -> Iterator[tuple[Broker, Outcome]]:
    """A live share of forty people, all of whom have changed since it was written."""
    city.fill(folder, range(PEOPLE), NOW, xm="从前")
    with city.city(folder, **settings) as broker:
        city.collect(broker, limit=100)
        share = city.grant(broker, "a", "name")
        city.relay(broker)
        city.fill(folder, range(PEOPLE), NOW + timedelta(minutes=1), xm="后来")
        city.collect(broker, limit=100)
        yield broker, share


def together(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object] = int
) -> list[int]:
    """Partitions are read together from where the relay has come to, however long ago; `meanwhile`
    happens once they are read. Returns of how many each time."""
    asked, page = list[int](), broker.log.page
    for worker in broker.relay._partitions.values():
        worker._trusted = math.inf

    def pages(ranges: Mapping[Place, tuple[int, int]]) -> dict[Place, Page]:
        asked.append(len(ranges))
        found = {place: page(*place, at, end - at) for place, (at, end) in ranges.items()}
        meanwhile()
        return found

    monkeypatch.setattr(broker.log, "pages", pages)
    return asked


def names(broker: Broker, share: Outcome) -> set[str]:
    found = city.shown(broker, share)
    assert len(found) == PEOPLE
    return {values["name"] for values in found.values()}


def each(broker: Broker, commit: Callable[[Batch], None], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the relay's commits were made of, by partition; `commit` instead of the log's own."""
    made = list[list[int]]()

    def noting(batch: Batch) -> None:
        if batch.consumed:
            made.append(sorted(number for _, number in batch.consumed))
        commit(batch)

    monkeypatch.setattr(broker.log, "commit", noting)
    return made


def test_what_is_small_lands_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with changed(tmp_path) as (broker, share):
        before = names(broker, share)
        made = each(broker, broker.log.commit, monkeypatch)
        progress = city.relay(broker)
        assert made == [[0, 1, 2, 3]] and progress.read == progress.written == PEOPLE
        assert names(broker, share) != before


def test_a_commit_has_about_as_many_records_as_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with changed(tmp_path, relay_batch=5) as (broker, share):
        sizes, commit = list[int](), broker.log.commit
        monkeypatch.setattr(
            broker.log, "commit", lambda one: (sizes.append(one.records()), commit(one))
        )
        city.relay(broker)
        assert sum(sizes) == PEOPLE and 5 <= max(sizes) < 10 and len(names(broker, share)) == 1


def test_a_commit_has_only_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with changed(tmp_path) as (broker, share):
        monkeypatch.setattr(joint, "WRITTEN", 1)
        made = each(broker, broker.log.commit, monkeypatch)
        city.relay(broker)
        assert made == [[0], [1], [2], [3]] and len(names(broker, share)) == 1


def test_what_one_partition_is_refused_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with changed(tmp_path) as (broker, share):
        commit = broker.log.commit

        def refusing(batch: Batch) -> None:
            if (TOPIC, 3) in batch.consumed:
                raise LogError("planted", mend="none")
            commit(batch)

        made = each(broker, refusing, monkeypatch)
        with pytest.raises(LogError, match="planted"):
            city.relay(broker)
        assert made == [[0, 1, 2, 3], [0], [1], [2], [3]]
        monkeypatch.setattr(broker.log, "commit", commit)
        progress = city.relay(broker)
        assert 0 < progress.read < PEOPLE and len(names(broker, share)) == 1


def test_where_another_relay_was_in_one_of_them_the_others_land(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did stands; nothing is written twice."""
    with changed(tmp_path) as (broker, share), city.city(tmp_path) as rival:
        commit = broker.log.commit
        dataset = broker.catalog.dataset(DATASET)

        def late(batch: Batch) -> None:
            if len(batch.consumed) == 4:
                rival.relay.step(dataset, 1, lambda: rival.sharing.shares(DATASET))
            commit(batch)

        made = each(broker, late, monkeypatch)
        before = city.end_of(broker, share)
        progress = city.relay(broker)
        assert made == [[0, 1, 2, 3], [0], [2], [3]] and 0 < progress.read < PEOPLE
        assert city.end_of(broker, share) == before + PEOPLE and len(names(broker, share)) == 1


def test_what_is_not_landed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round is given up after the batches are made."""
    with changed(tmp_path) as (broker, share):
        dataset = broker.catalog.dataset(DATASET)

        def moved(batch: Batch) -> None:
            raise PositionMoved("planted", mend="none")

        shares = lambda: broker.sharing.shares(DATASET)  # noqa: E731
        ends = {number: broker.log.end(TOPIC, number) for number in range(4)}
        together(broker, monkeypatch)
        monkeypatch.setattr(broker.log, "commit", moved)
        monkeypatch.setattr(broker.relay, "step", lambda *asked: pytest.fail("not asked for"))
        with pytest.raises(BaseException, match="not asked for"):
            list(broker.relay.round(dataset, ends, 0, shares))
        monkeypatch.undo()
        assert city.relay(broker).read == PEOPLE and len(names(broker, share)) == 1


@pytest.mark.parametrize("limit", [PEOPLE, 3])
def test_what_is_read_together_is_relayed_as_what_is_read_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Also where a batch may have less than was read."""
    with changed(tmp_path) as (broker, share):
        city.relay(broker)
        for number in range(4):
            broker.relay._paces[DATASET, number].own.limit = limit
        before = names(broker, share)
        city.fill(tmp_path, range(PEOPLE), NOW + timedelta(minutes=2), xm="更后")
        city.collect(broker, limit=100)
        asked, page = together(broker, monkeypatch), broker.log.page
        monkeypatch.setattr(broker.log, "page", lambda *asked: pytest.fail("read alone"))
        end = city.end_of(broker, share)
        assert city.relay(broker).read == PEOPLE
        assert city.end_of(broker, share) == end + PEOPLE and asked[0] == 4
        monkeypatch.setattr(broker.log, "page", page)
        assert len(names(broker, share)) == 1 and names(broker, share) != before


def test_what_was_read_for_another_place_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another relay was there after it was read."""
    with changed(tmp_path) as (broker, share), city.city(tmp_path) as rival:
        city.relay(broker)
        city.fill(tmp_path, range(PEOPLE), NOW + timedelta(minutes=2), xm="更后")
        city.collect(broker, limit=100)
        dataset = broker.catalog.dataset(DATASET)

        def relayed() -> None:
            for number in range(4):
                rival.relay._paces[DATASET, number].own.limit = 3
                rival.relay.step(dataset, number, lambda: rival.sharing.shares(DATASET))
            broker.relay.begin_round([])  # everything is forgotten

        together(broker, monkeypatch, relayed)
        before = city.end_of(broker, share)
        assert city.relay(broker).read == PEOPLE - 12
        assert city.end_of(broker, share) == before + PEOPLE and len(names(broker, share)) == 1
