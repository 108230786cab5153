"""Who calls over HTTP: keys, and how often they may be used."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from broker.sharing.keys import ApiKeys
from broker.telemetry import Event
from broker.web.access import Access
from broker.web.refusal import Refusal
from tests import city


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[ApiKeys]:
    with city.city(tmp_path) as broker:
        for name in ("a", "b"):
            broker.sharing.add_consumer(name, "mz", city.Level.L3, "")
        yield broker.api_keys


def request(key: str) -> Request:
    header = (b"authorization", f"Bearer {key}".encode())
    return Request({"type": "http", "headers": [header], "client": ("127.0.0.1", 9)})


def test_nothing_that_is_kept_is_a_key(keys: ApiKeys, tmp_path: Path) -> None:
    secret = keys.add("a").split("_", 2)[2]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert b"api_key" in kept and secret.encode() not in kept


def test_only_the_whole_key_is_the_key(keys: ApiKeys) -> None:
    one, other = keys.add("a"), keys.add("b")
    found = keys.holder(one)
    assert found and found.consumer == "a" and keys.holder(one, "a") == found
    crossed = f"{one[:12]}{other[12:]}"
    assert crossed.split("_")[1] == found.id and keys.holder(crossed) is None
    assert keys.holder(one, "b") is None and keys.holder(other, "a") is None


def test_the_limit_is_a_consumers_own_whatever_keys_it_has(keys: ApiKeys) -> None:
    access = Access(keys, list[Event]().append, a_minute=2, clock=lambda: 0.0)
    for key in (keys.add("a"), keys.add("a")):
        assert access.caller(request(key)).consumer == "a"
    with pytest.raises(Refusal, match="too many requests"):
        access.caller(request(keys.add("a")))
    try:
        assert access.caller(request(keys.add("b"))).consumer == "b"
    except Refusal:
        raise AssertionError("others go on") from None
