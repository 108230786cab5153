"""Clients that take what they asked for slowly, or say nothing: what was theirs does not go on
leaving, and what was cut never looks whole.
"""

import itertools
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.web import lines as lines_module
from broker.web.forms import Csv
from tests.faults.test_lines import PROMISED, RECORDS, SNAPSHOT
from tests.serving import Served, certificate, live, multiply, served, until


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, 40) as found:
        yield found


def raw(
    web: Served,
    key: str,
    path: str,
    version: str = "1.1",
    context: ssl.SSLContext | None = None,
) -> socket.socket:
    """A connection that has asked, and reads as slowly as its owner likes."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = web.url.rpartition("//")[2].split(":")
    made.connect((host, int(port)))
    if context is not None:
        made = context.wrap_socket(made, server_hostname=host)
    ask = f"GET {path} HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    made.sendall(ask.encode())
    return made


def received(connection: socket.socket) -> bytes:
    """What still comes until the other side is gone."""
    connection.settimeout(5)
    found = b""
    try:
        while piece := connection.recv(1 << 16):
            found += piece
    except ConnectionResetError:
        return found
    except TimeoutError:
        pytest.fail("the other side is still there")
    return found


SLOW = (
    SNAPSHOT,
    f"{SNAPSHOT}?format=avro",
    f"{RECORDS}?limit=5000",
    f"{RECORDS}?limit=5000&wait=30",
    f"{RECORDS}?limit=5000&format=avro",
    f"{RECORDS}?limit=300",
)
"""What a slow client asks for; the last is so short that the kernel would take all of it."""


@pytest.mark.parametrize("path", SLOW)
def test_a_slow_client_is_cut_with_its_right(web: Served, path: str) -> None:
    """After the revocation there is nothing left to drip."""
    cut_with_its_right(web, raw(web, one_large(web), path))


@pytest.mark.parametrize("path", [SNAPSHOT, f"{RECORDS}?limit=5000", f"{RECORDS}?limit=300"])
def test_a_slow_client_is_cut_with_its_right_under_tls(tmp_path: Path, path: str) -> None:
    chain, key = certificate(tmp_path)
    with served(tmp_path, 40, http_certificate=chain, http_private_key=key) as web:
        context = ssl.create_default_context(cafile=str(chain))
        cut_with_its_right(web, raw(web, one_large(web), path, context=context))


def one_large(web: Served) -> str:
    """A key of the consumer `a`, whose share is large."""
    one = live(web.broker, "a")
    assert one.share
    multiply(web, one.share.topic, 20_000)
    return web.broker.api_keys.add("a")


def cut_with_its_right(web: Served, slow: socket.socket) -> None:
    """What it takes after its right has ended is at most what its own kernel had already."""
    for _ in range(1 << 11):
        assert slow.recv(1), "the first records come"
    (given,) = web.broker.sharing.grants()
    web.broker.sharing.revoke(given.grant.id, "r")
    until(lambda: '"LineEnded"' in web.broker.settings.events_path.read_text(), PROMISED)
    assert len(received(slow)) < 1 << 14
    slow.close()


@pytest.mark.parametrize("path", [f"{SNAPSHOT}?format=csv", f"{RECORDS}?limit=5000"])
def test_what_is_broken_off_never_looks_whole_to_an_old_client(web: Served, path: str) -> None:
    """HTTP/1.0 knows an end by the connection's alone: an orderly one would look whole."""
    old = raw(web, one_large(web), path, version="1.0")
    assert old.recv(1)
    (given,) = web.broker.sharing.grants()
    web.broker.sharing.revoke(given.grant.id, "r")
    assert is_reset(old)


def test_what_fails_in_the_middle_never_looks_whole_to_an_old_client(
    web: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = Csv.batch, itertools.count()

    def fails(self: Csv, records: Any) -> bytes:
        if next(calls) == 3:
            raise ValueError("unforeseen")
        return whole(self, records)

    monkeypatch.setattr(Csv, "batch", fails)
    assert is_reset(raw(web, one_large(web), f"{SNAPSHOT}?format=csv", version="1.0"))


def is_reset(connection: socket.socket) -> bool:
    """Whether the other side ends it otherwise than in order."""
    connection.settimeout(10)
    with connection:
        try:
            while connection.recv(1 << 16):
                continue
        except ConnectionResetError:
            return True
    return False


def test_a_client_that_takes_nothing_is_cut(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.web.stream.PATIENCE", 1.0)
    one = live(web.broker, "a")
    assert one.share
    multiply(web, one.share.topic, 60_000)
    slow = raw(web, web.broker.api_keys.add("a"), SNAPSHOT)
    others = web.client("a")
    assert others.get(RECORDS).status_code == 200
    until(lambda: '"not_taken"' in web.broker.settings.events_path.read_text(), 8)
    slow.close()


def test_a_client_that_says_nothing_is_cut(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "PATIENCE", 0.5)
    host, port = web.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as silent:
        silent.sendall(b"GET /livez HTT")
        assert received(silent) == b""


@pytest.mark.parametrize(
    ("length", "more"), [(0, b"GET /livez HTT"), (9, b"half")], ids=["head", "body"]
)
def test_a_client_that_says_no_more_after_an_answer_is_cut(
    web: Served, monkeypatch: pytest.MonkeyPatch, length: int, more: bytes
) -> None:
    """Half a request, or half of what was announced with the one before."""
    monkeypatch.setattr(lines_module, "PATIENCE", 0.5)
    ask = f"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    host, port = web.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as silent:
        silent.sendall(ask)
        answer = b""
        while not answer.endswith(b"}"):
            answer += silent.recv(1 << 12)
        silent.sendall(more)
        assert received(silent) == b""
