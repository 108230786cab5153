"""Who holds a key: as committed, from memory or not."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from broker.errors import LogError, PositionMoved
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Batch
from broker.relay import membership
from broker.relay.membership import NOBODY, Membership, Room, Shares

A, B, BOTH = frozenset("a"), frozenset("b"), frozenset("ab")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    engine = EmbeddedLog(tmp_path / "log.db")
    yield engine
    engine.close()


def opened(log: EmbeddedLog, room: Room) -> Membership:
    found = Membership(log, "x.y", 0, room)
    found.begin()
    return found


def land(log: EmbeddedLog, one: Membership, moved: dict[bytes, Shares]) -> None:
    log.commit(Batch(entries=one.changes(moved)))
    one.committed(moved)


@pytest.mark.parametrize(("asked", "keys"), [(0, 100), (0, 1), (1_000, 100)])
def test_memory_or_not_it_is_what_was_committed(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch, asked: int, keys: int
) -> None:
    monkeypatch.setattr(membership, "_ASKED", asked)
    monkeypatch.setattr(membership, "_PAGE", 2)
    monkeypatch.setattr(membership, "_FEW", 0)
    room = Room(keys)
    one = opened(log, room)
    assert one.held([b"1"]) == {}
    land(log, one, {b"1": A, b"2": BOTH, b"3": BOTH})
    land(log, one, {b"1": B, b"2": NOBODY, b"4": A})
    wanted = {b"1": B, b"3": BOTH, b"4": A}
    every = [b"1", b"2", b"3", b"4", b"5"]
    assert dict(one.held(every)) == wanted
    assert dict(opened(log, Room(keys)).held(every)) == wanted, "as another would read it"
    assert room.keys == (keys - len(wanted) if asked == 0 and keys > 3 else keys)
    one.forget()
    assert room.keys == keys


def test_what_did_not_land_is_not_known(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_ASKED", 0)
    one = opened(log, Room())
    land(log, one, {b"1": A})
    one.changes({b"1": B, b"2": BOTH})  # the commit failed
    assert dict(one.held([b"1", b"2"])) == {b"1": A}
    land(log, one, {b"2": B})
    assert dict(opened(log, Room()).held([b"1", b"2"])) == {b"1": A, b"2": B}


def test_a_set_is_written_once(log: EmbeddedLog) -> None:
    one = opened(log, Room())
    tables = [len(one.changes({b"1": BOTH})), 0]
    land(log, one, {b"1": BOTH})
    tables[1] = len(one.changes({b"2": BOTH}))
    assert tables == [2, 1]


def test_of_a_new_partition_nothing_is_read_back(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(log, Room())
    assert one.held([b"1"]) == {}
    land(log, one, {b"1": A})
    monkeypatch.setattr(log, "entries", None)
    monkeypatch.setattr(log, "scan", None)
    land(log, one, {b"2": B})
    assert dict(one.held([b"1", b"2"])) == {b"1": A, b"2": B}


@pytest.mark.parametrize("asked", [0, 1_000])
def test_what_another_relay_wrote_meanwhile_makes_it_begin_anew(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    """A set that is not known yet; whatever would be written now would not land."""
    monkeypatch.setattr(membership, "_ASKED", asked)
    monkeypatch.setattr(membership, "_FEW", 0)
    one, other = opened(log, Room()), opened(log, Room())
    land(log, other, {b"1": A})
    with pytest.raises(PositionMoved):
        one.held([b"1"])
    assert dict(opened(log, Room()).held([b"1"])) == {b"1": A}


def test_a_set_that_is_missing_is_damage(log: EmbeddedLog) -> None:
    """Beginning anew would not help."""
    one = opened(log, Room())
    holds, _ = reversed(one.changes({b"1": A}))
    log.commit(Batch(entries=[holds]))
    with pytest.raises(LogError, match="backup") as raised:
        opened(log, Room()).held([b"1"])
    assert not isinstance(raised.value, PositionMoved)


def test_without_room_it_is_not_soon_looked_for_again(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "_ASKED", 3)
    monkeypatch.setattr(membership, "_PAGE", 10)
    monkeypatch.setattr(membership, "_FEW", 0)
    one = opened(log, Room(2))
    land(log, one, {bytes([n]): A for n in range(9)})
    scans = list[bytes]()
    scan = log.scan

    def counted(table: str, partition: int, after: bytes, limit: int) -> Sequence[Any]:
        scans.append(after)
        return scan(table, partition, after, limit)

    monkeypatch.setattr(log, "scan", counted)
    for _ in range(16):
        assert dict(one.held([b"\x01"])) == {b"\x01": A}
    assert len(scans) == 3, "whether it is small, then all of it; and that after so many keys"
