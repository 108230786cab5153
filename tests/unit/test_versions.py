"""Which records have a later version: exact, whatever the keys' bits."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import LogError
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, Page
from broker.relay import versions
from broker.relay.versions import LastVersions

KEYS = st.sampled_from([bytes([n]) * 8 + bytes([m]) * 8 for n in range(4) for m in range(3)])


class Standing:
    """A log whose partition holds these keys, with gaps between the offsets."""

    def __init__(self, keys: list[bytes]) -> None:
        self.found = [(2 * number, key) for number, key in enumerate(keys)]

    def keys(self, topic: str, partition: int, offset: int, limit: int) -> list[tuple[int, bytes]]:
        return [one for one in self.found if one[0] >= offset][:limit]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(KEYS, max_size=30),
    st.integers(0, 20),
    st.integers(0, 60),
    st.integers(1, 7),
    st.sampled_from([0, 1, 3, 99]),
)
def test_of_each_key_the_last_record_and_no_other(
    keys: list[bytes], start: int, end: int, at_once: int, kept: int
) -> None:
    """Keys that share their first half share their bits; so do others, in so small a field."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "KEYS_AT_ONCE", at_once)
        patch.setattr(versions, "_LEAST", 8)
        patch.setattr(versions, "_BITS_A_KEY", 1)
        patch.setattr(versions, "_KEPT", kept)
        patch.setattr(versions, "_ASKED", 2)
        log = Standing(keys)
        last = LastVersions(log, "t", 0, start, end)  # type: ignore[arg-type]
        looks = 1
        while not last.look():
            looks += 1
        assert looks <= len(keys) // at_once + 2
        stands = {key: offset for offset, key in log.found if start <= offset < end}
        found = [one for one in log.found if one[0] >= start]
        page = Page([offset for offset, _ in found], [key for _, key in found], [b""] * len(found))
        newest = [page.offsets[number] for number in last.newest(page)]
        wanted = [one for one, key in found if one >= end or stands[key] == one]
        assert newest == wanted


def test_what_comes_while_it_looks_is_later(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db")
    log.create_topics({"t": 1})
    log.commit(Batch([Append("t", 0, b"k" * 16, b"1"), Append("t", 0, b"k" * 16, b"2")]))
    last = LastVersions(log, "t", 0, 0, 2)
    log.commit(Batch([Append("t", 0, b"k" * 16, b"3")]))
    assert last.look()
    assert last.newest(log.page("t", 0, 0, 9)) == [1, 2]
    log.close()


def test_offsets_that_have_come_far_cost_no_more() -> None:
    """As where a partition was compacted for years: few records, and offsets without end."""
    log = Standing([b"a" * 16, b"b" * 16, b"a" * 16])
    last = LastVersions(log, "t", 0, 0, 1 << 50)  # type: ignore[arg-type]
    while not last.look():
        continue
    page = Page([0, 2, 4], [key for _, key in log.found], [b""] * 3)
    assert last.newest(page) == [1, 2]


def test_of_many_keys_that_stand_twice_few_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_KEPT", 100)
    monkeypatch.setattr(versions, "KEYS_AT_ONCE", 50)
    log = Standing([number.to_bytes(8, "big") * 2 for number in range(1_000)] * 2)
    last = LastVersions(log, "t", 0, 0, 4_000)  # type: ignore[arg-type]
    while not last.look():
        assert len(last._last) <= 100
    page = Page(*zip(*((offset, key, b"") for offset, key in log.found), strict=True))
    assert last.newest(page) == list(range(1_000, 2_000))


def test_no_room_for_them_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the folder for temporary files is full."""
    monkeypatch.setattr(versions, "_KEPT", 0)
    log = Standing([number.to_bytes(8, "big") * 2 for number in range(5_000)] * 2)
    begun = versions._Offsets.__init__

    def narrow(self: versions._Offsets) -> None:
        begun(self)
        self._db.execute("PRAGMA max_page_count=10")

    monkeypatch.setattr(versions._Offsets, "__init__", narrow)
    last = LastVersions(log, "t", 0, 0, 20_000)  # type: ignore[arg-type]
    with pytest.raises(LogError, match="SQLITE_FULL") as raised:
        while not last.look():
            continue
    assert "temporary" in raised.value.where
