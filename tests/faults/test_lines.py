"""Open streams under everything that can happen to them: rights that end, keys that are
revoked, a store that is away, HTTP that is stopped, many at once.
"""

import asyncio
import json
import socket
import ssl
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from broker.errors import StoreError
from broker.store.engine import Store
from broker.web.waiting import Waiting
from tests import city
from tests.serving import Served, certificate, change, live, multiply, served, until

DATASET = "ga.resident_base"
RECORDS = f"/v1/datasets/{DATASET}/records"
SNAPSHOT = f"/v1/datasets/{DATASET}/snapshot"
EVENTS = f"/v1/datasets/{DATASET}/events"
PROMISED = 2.0
"""Seconds after which nothing of an ended right leaves any more."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, 40, http_streams=600, http_requests_per_minute=100_000) as found:
        yield found


def ends_within(
    read: Callable[[], object], end: Callable[[], object], begun: Callable[[], object] = lambda: 1
) -> tuple[float, Any]:
    """Seconds from `end` until `read`, running and `begun` meanwhile, has ended; what it gave."""
    given: list[object] = []
    reading = threading.Thread(target=lambda: given.append(read()))
    reading.start()
    until(begun)
    time.sleep(0.4)
    assert reading.is_alive()
    end()
    at = time.monotonic()
    reading.join(15)
    assert not reading.is_alive()
    return time.monotonic() - at, given[0]


def test_events_say_why_they_end(web: Served) -> None:
    one = live(web.broker, "a")
    client = web.client("a")

    told: list[str] = []

    def lines() -> list[str]:
        with client.stream("GET", EVENTS) as stream:
            try:
                for line in stream.iter_lines():
                    told.append(line)
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                told.append("broken off")
        return told

    seconds, found = ends_within(
        lines, lambda: web.broker.sharing.revoke(one.grant.id, "r"), lambda: told
    )
    assert seconds < PROMISED
    assert found[-1] == "broken off"
    error = next(line for line in reversed(found) if line.startswith("data: "))
    assert json.loads(error[6:]).get("error_code") == 41001


def test_a_waiting_request_ends_with_its_right(web: Served) -> None:
    one = live(web.broker, "a")
    client = web.client("a")
    cursor = client.get(RECORDS).json()["cursor"]
    seconds, answer = ends_within(
        lambda: client.get(RECORDS, params={"cursor": cursor, "wait": 15}),
        lambda: web.broker.sharing.suspend(one.grant.id, "r"),
    )
    assert seconds < PROMISED and answer.json()["error_code"] == 41001


@pytest.mark.parametrize("form", ["ndjson", "csv", "avro"])
def test_a_snapshot_that_is_cut_never_looks_whole(web: Served, form: str) -> None:
    one = live(web.broker, "a")
    assert one.share
    multiply(web, one.share.topic, 100_000)
    client = web.client("a")
    with (
        client.stream("GET", SNAPSHOT, params={"format": form}) as stream,
        pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)),
    ):
        for number, _ in enumerate(stream.iter_bytes(1000)):
            if number == 50:
                web.broker.sharing.revoke(one.grant.id, "r")


def _key_of(client: httpx2.Client) -> str:
    return str(client.headers["authorization"]).split("_")[1]


def test_a_revoked_key_ends_what_is_open_with_it(web: Served) -> None:
    live(web.broker, "a")
    gone, stays = web.client("a"), web.client("a")

    told: list[str] = []

    def read(client: httpx2.Client) -> str:
        with client.stream("GET", EVENTS) as stream:
            try:
                told.extend(line for line in stream.iter_lines() if line.startswith("data: "))
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                return "broken off"
        return "whole"

    seconds, end = ends_within(
        lambda: read(gone), lambda: web.broker.api_keys.revoke(_key_of(gone)), lambda: told
    )
    assert end == "broken off"
    assert seconds < PROMISED
    assert stays.get(RECORDS).status_code == 200


def test_streams_end_while_the_store_is_away(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    live(web.broker, "a")
    client = web.client("a")

    def away(self: Store, query: str = "") -> Any:
        raise StoreError("away")

    def go(patch: pytest.MonkeyPatch) -> None:
        for way in ("reading", "number"):
            patch.setattr(Store, way, away)

    told: list[str] = []

    def read() -> str:
        with client.stream("GET", EVENTS) as stream:
            try:
                told.extend(stream.iter_lines())
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                return "broken off"
        return "whole"

    with monkeypatch.context() as patch:
        seconds, end = ends_within(read, lambda: go(patch), lambda: len(told) >= 40)
        assert seconds < PROMISED + 0.5 and end == "broken off"
        assert client.get(RECORDS).status_code == 503
        assert client.get("/readyz").status_code == 503
    assert client.get(RECORDS).status_code == 200


def test_who_waits_is_told_to_ask_again_when_http_stops(
    web: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(web.broker, "a")
    client, other = web.client("a"), web.client("a")
    cursor = client.get(RECORDS).json()["cursor"]
    waits, more = threading.Semaphore(0), Waiting.more

    async def waiting(self: Waiting, *words: Any) -> bool:
        waits.release()
        return await more(self, *words)

    def ask() -> httpx2.Response | None:
        with suppress(httpx2.TransportError):
            return client.get(RECORDS, params={"cursor": cursor, "wait": 15})
        return None

    def events() -> list[str]:
        found: list[str] = []
        with other.stream("GET", EVENTS) as stream, suppress(httpx2.TransportError):
            found.extend(line for line in stream.iter_lines() if line.startswith("data: "))
            found.append("looks whole")
        return found

    monkeypatch.setattr(Waiting, "more", waiting)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask)
        streamed = pool.submit(events)
        assert waits.acquire(timeout=10) and waits.acquire(timeout=10)
        web.stop.set()
        answer, found = asked.result(10), streamed.result(10)
    assert answer is not None and answer.status_code == 503
    assert answer.json()["error_code"] == 50301
    assert int(answer.headers["retry-after"]) >= 1 and "cache-control" in answer.headers
    assert json.loads(found[-1][6:]).get("error_code") == 50301


def test_five_hundred_open_streams(web: Served, tmp_path: Path) -> None:
    live(web.broker, "a")
    key = web.broker.api_keys.add("a")
    change(tmp_path, web.broker, 0, xm="先")

    async def read() -> tuple[int, float]:
        opened, got = 0, 0
        ready, done = asyncio.Event(), asyncio.Event()

        async def one() -> None:
            nonlocal opened, got
            reader, writer = await asyncio.open_connection(*address)
            ask = f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
            writer.write(ask.encode())
            text, seen = b"", False
            while True:
                piece = await reader.read(1 << 16)
                assert piece, "the stream has ended"
                text = (text + piece)[-400:]
                if b"id: " in text and not seen:
                    seen, opened = True, opened + 1
                    if opened == 500:
                        ready.set()
                if "后来".encode() in text:
                    break
            got += 1
            if got == 500:
                done.set()
            writer.close()

        host, port = web.url.removeprefix("http://").split(":")
        address = host, int(port)
        tasks = [asyncio.ensure_future(one()) for _ in range(500)]
        for each in tasks:
            each.add_done_callback(lambda task: task.exception() and (ready.set(), done.set()))
        with suppress(TimeoutError):
            await asyncio.wait_for(ready.wait(), 60)
        assert opened == 500
        started = time.monotonic()
        await asyncio.to_thread(change, tmp_path, web.broker, 1, xm="后来")
        beside = web.client("a")
        assert (await asyncio.to_thread(beside.get, RECORDS)).status_code == 200
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 30)
        seconds = time.monotonic() - started
        for each in tasks:
            each.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert got == 500, Counter(map(repr, ends))
        return got, seconds

    got, seconds = asyncio.run(read())
    assert got == 500 and seconds < 30


def test_fifty_consumers_each_revoked_while_it_streams(web: Served) -> None:
    """One share of 100,000 rows, equal grants; each is revoked while it reads in a loop."""
    outcomes = [live(web.broker, f"c{n}") for n in range(50)]
    (share,) = {one.share.id for one in outcomes if one.share}
    assert outcomes[0].share
    multiply(web, outcomes[0].share.topic, 100_000)
    clients = [web.client(f"c{n}") for n in range(50)]
    last: dict[int, float] = {}
    ended: dict[int, float] = {}
    over = threading.Event()

    def loop(number: int) -> None:
        client = clients[number]
        while not over.is_set():
            try:
                with client.stream("GET", SNAPSHOT) as stream:
                    if stream.status_code == 503:  # where all write at once: asks again, as told
                        time.sleep(1)
                        continue
                    if stream.status_code != 200:
                        return
                    for piece in stream.iter_raw():
                        if b'"value"' in piece:
                            last[number] = time.monotonic()
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                continue

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    until(lambda: len(last) == 50, 90)
    for number, one in enumerate(outcomes):
        web.broker.sharing.revoke(one.grant.id, "r")
        ended[number] = time.monotonic()
    until_then = time.monotonic() + 30
    for thread in threads:
        thread.join(max(0.0, until_then - time.monotonic()))
    over.set()
    delays = sorted(max(0.0, last[number] - ended[number]) for number in range(50))
    assert delays[-1] < PROMISED, statistics.quantiles(delays, n=10)
    assert web.broker.sharing.share(share).state != "LIVE"


def test_tls(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    with served(tmp_path, 3, http_certificate=chain, http_private_key=key) as web:
        live(web.broker, "a")
        assert web.url.startswith("https://127.0.0.1:")
        with pytest.raises(httpx2.TransportError):
            httpx2.get(web.url.replace("https", "http") + "/livez")
        context = ssl.create_default_context(cafile=str(chain))
        with httpx2.Client(base_url=web.url, verify=context) as client:
            bearer = {"Authorization": f"Bearer {web.broker.api_keys.add('a')}"}
            assert len(client.get(RECORDS, headers=bearer).json()["records"]) == 3


def test_where_it_may_listen(tmp_path: Path) -> None:
    from broker.errors import SettingsError

    wrong = tmp_path / "wrong.pem"
    wrong.write_text("x")
    for more, says in (
        ({"http_host": "0.0.0.0"}, "no TLS"),
        ({"http_host": "::"}, "no TLS"),
        ({"http_host": "city.example"}, "no TLS"),
        ({"http_certificate": wrong}, "one of"),
    ):
        with city.city(tmp_path, **more) as broker, pytest.raises(SettingsError, match=says):  # type: ignore[arg-type]
            broker.serve_role(lambda url: None)
    with city.city(tmp_path, http_certificate=wrong, http_private_key=wrong) as broker:
        role = broker.serve_role(lambda url: None)
        with pytest.raises(SettingsError, match="certificate"):
            role.run(threading.Event())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        taken = {"http_port": port}, {"http_port": 0, "metrics_port": port}
        for ports in taken:
            with (
                city.city(tmp_path, **ports) as broker,  # type: ignore[arg-type]
                pytest.raises(SettingsError, match=list(ports)[-1]),
            ):
                broker.serve_role(lambda url: None).run(threading.Event())
