"""What leaves of a share, and when its right is asked."""

import asyncio
import dataclasses
import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker.bootstrap import Broker
from broker.log.interface import Append, Batch, Page
from broker.telemetry import Event
from broker.web import records_api
from broker.web.cursor import Cursors
from broker.web.delivery import Delivery
from broker.web.lines import Line
from broker.web.records_api import Desk
from broker.web.refusal import Refusal
from broker.web.rights import Right, Rights
from tests import city

DATASET, OTHER = "ga.resident_base", "ga.residence_permit"


class Fixture:
    """A city of twenty with a consumer `a`, and what delivers to it; the clock stands."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.now = 0.0
        self.emitted: list[Event] = []
        self.grant = city.grant(broker, "a", "name sex").grant.id
        city.relay(broker)
        self.rights = Rights(broker.sharing, broker.api_keys, broker.catalog)
        self.delivery = Delivery(
            broker.log, self.rights, broker.pulls, broker.catalog, self.emitted.append,
            broker.confirm, lambda: self.now,
        )  # fmt: skip
        self.desk = Desk(
            None, self.rights, self.delivery, Cursors(broker.sealer), Lines(), None, broker.catalog
        )  # type: ignore[arg-type]

    def right(self, consumer: str = "a", dataset: str = DATASET) -> Right:
        key = self.broker.api_keys.holder(self.broker.api_keys.add(consumer))
        assert key
        return self.rights.to_dataset(key, dataset)

    def revoke(self) -> None:
        self.broker.sharing.revoke(self.grant, "r")


class Lines:
    """Lines that are never looked at; `cuts` says why they were cut."""

    def __init__(self) -> None:
        self.cuts: list[str] = []

    @contextmanager
    def opened(self, right: Right, client: Any) -> Iterator[Line]:
        yield Line(right, client)

    async def left(self, line: Line) -> None:
        return None

    def cut(self, line: Line, reason: str) -> None:
        self.cuts.append(reason)


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[Fixture]:
    city.fill(tmp_path, range(20), datetime.now() - timedelta(days=1))
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=100)
        yield Fixture(broker)


def refused(call: Any, *words: Any) -> int:
    with pytest.raises(Refusal) as caught:
        call(*words)
    return caught.value.code


@pytest.mark.parametrize("kind", ["page", "snapshot"])
def test_what_ends_while_its_pull_is_recorded_does_not_leave(
    fixture: Fixture, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = fixture.right()
    start, end = fixture.delivery.beginning(right), fixture.delivery.end(right)
    record = fixture.broker.pulls.record

    def slow(pull: Any) -> None:
        record(pull)
        fixture.revoke()

    monkeypatch.setattr(fixture.broker.pulls, "record", slow)
    if kind == "page":
        assert refused(fixture.delivery.page, right, start, 100, "records") == 41001
    else:
        assert refused(list, fixture.delivery.snapshot(right, end, 100, 1 << 20)) == 41001
    assert not fixture.emitted


@pytest.mark.parametrize("kind", ["page", "snapshot"])
def test_a_batch_leaves_when_it_was_asked_recorded_asked_again_and_confirmed(
    fixture: Fixture, kind: str
) -> None:
    """In that order, behind its reading, and before anybody has it."""
    right = fixture.right()
    many(fixture, right, 60)
    broker, steps = fixture.broker, list[str]()

    def told(step: str, do: Any) -> Any:
        def doing(*words: Any) -> Any:
            steps.append(step)
            return do(*words)

        return doing

    log = SimpleNamespace(
        page=told("read", broker.log.page), keys=broker.log.keys, end=broker.log.end
    )
    delivery = Delivery(
        log, SimpleNamespace(hold=told("right", fixture.rights.hold)),
        SimpleNamespace(record=told("pull", broker.pulls.record)), broker.catalog,
        told("event", fixture.emitted.append), told("log", broker.confirm), lambda: fixture.now,
    )  # type: ignore[arg-type]  # fmt: skip

    def pages() -> Iterator[Page]:
        cursor, at_end = delivery.beginning(right), False
        while not at_end:
            page = delivery.page(right, cursor, 20, "records")
            cursor, at_end = page.cursor, page.at_end
            yield page.records

    end, left = delivery.end(right), 0
    for batch in pages() if kind == "page" else delivery.snapshot(right, end, 20, 1 << 20):
        assert steps[-5:] == ["right", "pull", "right", "log", "event"]
        assert set(steps[:-5]) <= {"read"}
        assert fixture.emitted[-1].records == len(batch.keys)  # type: ignore[attr-defined]
        steps.clear()
        left += 1
    assert left > 3 and not set(steps) - {"read"}


@pytest.mark.parametrize("form", ["json", "avro"])
def test_the_right_is_asked_before_each_piece_of_a_page(
    fixture: Fixture, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the lines do: nobody looks at them here."""
    monkeypatch.setattr(records_api, "PIECE", 100)
    right = fixture.right()
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        if body := message.get("body"):
            sent.append(body)
            if len(sent) == 3:
                fixture.revoke()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def ask() -> None:
        start = fixture.delivery.beginning(right)
        page = await fixture.desk.records(None, (right, start), 100, 0, form)  # type: ignore[arg-type]
        assert int(page.headers["content-length"]) > 1_000
        await page({"type": "http"}, receive, send)

    asyncio.run(ask())
    assert [len(piece) for piece in sent] == [100, 100, 100]
    assert fixture.desk.lines.cuts == ["right_ended"]  # type: ignore[attr-defined]


def test_the_right_is_asked_at_each_heartbeat(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the lines do: nobody looks at them here."""
    right = fixture.right()
    sent: list[bytes] = []

    class Nothing:
        """There is never anything new."""

        async def more(self, *words: Any) -> bool:
            await asyncio.sleep(0.001)
            return False

    async def send(message: Any) -> None:
        if body := message.get("body"):
            sent.append(body)
            if len(sent) == 3:
                fixture.revoke()
            if len(sent) == 9:
                raise OSError("it goes on, and nobody is there any more")

    async def receive() -> Any:
        while len(sent) < 9:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def ask() -> None:
        stream = desk.events((right, fixture.delivery.end(right)))
        with suppress(OSError, BaseExceptionGroup):
            await asyncio.wait_for(stream({"type": "http"}, receive, send), 10)

    desk = dataclasses.replace(fixture.desk, waiting=Nothing())  # type: ignore[arg-type]
    asyncio.run(ask())
    assert sent[:3] == [b":\n\n"] * 3 and len(sent) == 4
    assert b"41001" in sent[3]


def test_a_cursor_opens_one_share_for_one_consumer(fixture: Fixture, tmp_path: Path) -> None:
    broker, desk = fixture.broker, fixture.desk
    city.use_mapping(tmp_path, "ga_residence_permit")
    with sqlite3.connect(tmp_path / "sources" / "gongan" / "t_jzz-371502.db") as db:
        db.execute(f"CREATE TABLE t_jzz ({', '.join(f'{n} TEXT' for n in city.PERMIT_COLUMNS)})")
    city.collect(broker, OTHER)
    for consumer, dataset, items in (("b", DATASET, "name sex"), ("a", OTHER, "name")):
        city.grant(broker, consumer, items, dataset=dataset)
        city.relay(broker, dataset)
    mine, others, its = fixture.right(), fixture.right(dataset=OTHER), fixture.right("b")
    assert its.share.id == mine.share.id, "one share for both"
    text = desk.headers(mine, fixture.delivery.beginning(mine))["ShuQiao-Cursor"]
    assert desk.of_share(mine.key, mine.share.id, text)[0] == mine
    assert desk.of_dataset(mine.key, DATASET, text)[0] == mine
    assert refused(desk.of_share, its.key, its.share.id, text) == 40001
    assert refused(desk.of_share, mine.key, others.share.id, text) == 40001
    assert refused(desk.of_dataset, mine.key, OTHER, text) == 40001


def test_a_cursor_is_as_old_as_the_last_time_at_the_end(fixture: Fixture) -> None:
    right = fixture.right()
    cursor, at_end = fixture.delivery.beginning(right), False
    while not at_end:
        assert cursor.since == 0
        fixture.now += 3600
        page = fixture.delivery.page(right, cursor, 4, "records")
        cursor, at_end = page.cursor, page.at_end
    assert cursor.since == fixture.now > 3600


def test_a_share_that_was_the_callers_is_over_and_another_is_not_there(fixture: Fixture) -> None:
    right = fixture.right()
    fixture.broker.sharing.add_consumer("c", "mz", city.Level.L3, "")
    other = fixture.broker.api_keys.holder(fixture.broker.api_keys.add("c"))
    assert other
    for end in (lambda: None, fixture.revoke):
        end()
        assert refused(fixture.rights.to_share, other, right.share.id) == 40404
    assert refused(fixture.rights.to_share, right.key, right.share.id) == 41001
    assert refused(fixture.rights.hold, right) == 41001


def many(fixture: Fixture, right: Right, records: int) -> dict[bytes, bytes]:
    """So many records in the share, some of their keys written again and some gone; what stands
    under each key at last."""
    log, topic = fixture.broker.log, right.share.topic
    (value, *_) = (one for n in range(4) for one in log.page(topic, n, 0, 1).values if one)
    last: dict[bytes, bytes] = {}
    for turn in range(2):
        appends = []
        for n in range(records):
            if turn and n % 3:
                continue
            key = hashlib.sha256(b"%d" % n).digest()[:16]
            gone = bool(turn) and n % 2 == 0
            appends.append(Append(topic, n % 4, key, None if gone else value))
            if gone:
                del last[key]
            else:
                last[key] = value
        log.commit(Batch(appends=appends))
    return last


def test_a_snapshot_has_every_key_once_as_it_stands_last(fixture: Fixture) -> None:
    """However its batches are cut, and its pulls follow one another."""
    right = fixture.right()
    start = fixture.delivery.end(right)
    before = [
        key for batch in fixture.delivery.snapshot(right, start, 100, 1 << 20) for key in batch.keys
    ]
    must = many(fixture, right, 600)
    for partition in range(4):  # what was superseded leaves gaps
        fixture.broker.log.compact(right.share.topic, partition, None, 0)
    end = fixture.delivery.end(right)
    many(fixture, right, 30)  # what comes later is not of it
    for size, weight in ((1 << 20, 1 << 30), (50, 1 << 30), (1 << 20, 500), (7, 1)):
        fixture.emitted.clear()
        batches = list(fixture.delivery.snapshot(right, end, size, weight))
        pulls = fixture.broker.pulls.newest(len(batches))[::-1]
        assert [one.records for one in pulls] == [len(batch.keys) for batch in batches]
        assert [list(one.position_from) for one in pulls[1:]] == [
            list(one.position_to) for one in pulls[:-1]
        ]
        assert list(pulls[-1].position_to) == list(end.offsets)
        for batch, pull in zip(batches, pulls, strict=True):
            moved = [
                (start, stop)
                for start, stop in zip(pull.position_from, pull.position_to, strict=True)
                if start != stop
            ]
            if batch.keys:
                ((start, stop),) = moved  # what left stands between the two, and nothing else
                assert start <= batch.offsets[0] and batch.offsets[-1] < stop
        assert len(fixture.emitted) == len(batches)
        found = [two for one in batches for two in zip(one.keys, one.values, strict=True)]
        assert len(found) == len(must) + len(before)
        assert {key: value for key, value in found if key not in before} == must
        assert max(len(batch.keys) for batch in batches) <= size
        if weight < 1 << 20:
            assert all(sum(map(len, batch.values[:-1])) < weight for batch in batches)
            assert 10 < len(batches) <= len(found) * len(found[0][1]) // weight + 4 or size == 7


def test_a_snapshot_of_nothing_is_a_pull_too(fixture: Fixture) -> None:
    """Who asked for what is no longer there was told so, as of the end."""
    right, log = fixture.right(), fixture.broker.log
    topic = right.share.topic
    gone = [Append(topic, n, key, None) for n in range(4) for key in log.page(topic, n, 0, 99).keys]
    log.commit(Batch(appends=gone))
    end = fixture.delivery.end(right)
    batches = list(fixture.delivery.snapshot(right, end, 100, 1 << 20))
    assert batches and not any(batch.keys for batch in batches)
    (pull,) = fixture.broker.pulls.newest(1)
    assert (pull.records, list(pull.position_to)) == (0, list(end.offsets))


def test_records_that_are_large_come_in_more_pages_and_none_is_lost(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = fixture.right()
    cursor = fixture.delivery.end(right)
    many(fixture, right, 600)
    monkeypatch.setattr("broker.log.embedded.PAGE_BYTES", 400)
    monkeypatch.setattr("broker.web.delivery.PAGE_BYTES", 400)
    monkeypatch.setattr("broker.web.delivery._NEARLY", 200)
    found, pages, at_end = 0, 0, False
    while not at_end:
        page = fixture.delivery.page(right, cursor, 5_000, "records")
        cursor, at_end = page.cursor, page.at_end
        found += len(page.records.keys)
        pages += 1
        assert sum(len(one) for one in page.records.values if one) < 1_200
    assert found == 800 and pages > 5
    assert cursor.offsets == fixture.delivery.end(right).offsets
