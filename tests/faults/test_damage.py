"""Damaged pages, and offsets out of range: refused with the file's name and what to do, or
right; never a half-read.
"""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.errors import LogError, UnknownTopic
from broker.log.interface import Batch, PositionWrite
from broker.log.topics import relay_position
from broker.relay.position import Common
from broker.sharing.service import Outcome
from tests import city, recompute
from tests.serving import served

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"
PEOPLE = 120
PAGE = 4096


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Outcome]:
    """A city whose share takes several pages, and some rows that are still to be relayed."""
    folder = tmp_path / "whole"
    city.use_mapping(folder)
    rows = [city.resident(n, NOW, hjdz="长" * 60) for n in range(PEOPLE)]
    city.put(city.county(folder, "371502"), *rows)
    with city.city(folder) as broker:
        city.collect(broker, limit=1_000)
        one = city.grant(broker, "a", "name hukou_addr")
        city.relay(broker)
        later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        rows = [city.resident(n, NOW, xm="新", gxsj=later) for n in range(0, PEOPLE, 10)]
        city.put(city.county(folder, "371502"), *rows)
        city.collect(broker, limit=1_000)
    return folder, one


def damaged(whole: Path, copy: Path, *pages: int) -> Path:
    """A copy of a city in which the heads of those pages of the log are nonsense."""
    shutil.copytree(whole, copy)
    data = bytearray((copy / "log.db").read_bytes())
    for page in pages:
        data[page * PAGE : page * PAGE + 64] = b"\xff" * 64
    (copy / "log.db").write_bytes(data)
    return copy


def refused(folder: Path, work: Callable[[Broker], object]) -> object:
    """What came of the work; None where it was refused with the file's name and a way out."""
    broker = Broker(city.settings(folder))
    try:
        return work(broker)
    except LogError as error:
        assert error.where == str(folder / "log.db") and "backup" in error.mend
        return None
    finally:
        broker.close()


def test_every_damaged_page_is_refused_or_not_met(
    made: tuple[Path, Outcome], tmp_path: Path
) -> None:
    whole, one = made

    def read(broker: Broker) -> object:
        return city.shown(broker, one)

    def relay(broker: Broker) -> object:
        city.relay(broker)
        return city.shown(broker, one)

    def compare(broker: Broker) -> object:
        return [(found.compared, found.differences) for found in compare_all(broker)]

    works = (read, compare, relay)
    copies = iter(range(10_000))
    right = [refused(damaged(whole, tmp_path / f"{next(copies)}"), work) for work in works]
    assert None not in right
    pages = (whole / "log.db").stat().st_size // PAGE
    assert pages > 20
    refusals = 0
    for page in range(1, pages, 3):
        copy = damaged(whole, tmp_path / f"{next(copies)}", page)
        for work, value in zip(works, right, strict=True):
            got = refused(copy, work)
            assert got is None or got == value, f"{work.__name__} with page {page}"
            refusals += got is None
        shutil.rmtree(copy)
    assert refusals >= pages // 3


def test_a_damaged_share_never_looks_whole_over_http(
    made: tuple[Path, Outcome], tmp_path: Path
) -> None:
    whole, _ = made
    data = (whole / "log.db").read_bytes()
    mark = "张试119".encode()
    pages = {at // PAGE for at in range(len(data)) if data.startswith(mark, at)}
    assert pages
    with served(damaged(whole, tmp_path / "damaged", *pages)) as web:
        client = web.client("a")
        answer = client.get(f"/v1/datasets/{DATASET}/records", params={"limit": 1_000})
        assert answer.status_code == 503 and "log.db" not in answer.text
        try:
            answer = client.get(f"/v1/datasets/{DATASET}/snapshot")
        except httpx2.RemoteProtocolError:
            return  # broken off where the damage is
        assert answer.status_code == 503


def test_offsets_out_of_range(made: tuple[Path, Outcome]) -> None:
    whole, one = made
    assert one.share
    with city.city(whole) as broker:
        topic = one.share.topic
        end = broker.log.end(topic, 0)
        for offset in (end, end + 1, 1 << 62):
            assert broker.log.read(topic, 0, offset, 10) == []
            assert broker.log.keys(topic, 0, offset, 10) == []
        assert [record.offset for record in broker.log.read(topic, 0, -5, 2)] == [0, 1]
        for partition in (-1, 4):
            with pytest.raises(UnknownTopic):
                broker.log.read(topic, partition, 0, 1)
            with pytest.raises(UnknownTopic):
                broker.log.end(topic, partition)


def test_a_relay_position_behind_the_end_is_refused(made: tuple[Path, Outcome]) -> None:
    """The collected topic is not the one that was relayed: nothing is passed over in silence."""
    whole, one = made
    name = relay_position(DATASET, 0)
    with city.city(whole) as broker:
        topic = broker.catalog.dataset(DATASET).collected_topic
        committed = broker.log.position(name)
        assert committed
        stood = Common.unpack(committed)
        beyond = Common(broker.log.end(topic, 0) + 5, stood.year, stood.turn).pack()
        broker.log.commit(Batch(positions=[PositionWrite(name, committed, beyond)]))
    with city.city(whole) as broker:
        with pytest.raises(LogError) as error:
            city.relay(broker)
        assert topic in error.value.where and "backup" in error.value.mend
        broker.log.commit(Batch(positions=[PositionWrite(name, beyond, committed)]))
        city.relay(broker)
        assert recompute.held(broker, one) == recompute.wanted(broker, one) != {}
