"""HTTP over a small city, for tests: the real server on a port of its own, in this process."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from broker.bootstrap import Broker
from broker.log.interface import Append, Batch
from broker.sharing.service import Outcome
from broker.web.role import ServeRole
from tests import city

NOW = datetime.now() - timedelta(days=1)


class Served:
    """A broker, its HTTP role, what stops it, and clients by consumer."""

    def __init__(self, broker: Broker, role: ServeRole, stop: threading.Event) -> None:
        self.broker = broker
        self.role = role
        self.stop = stop
        self.url = role.url
        self._made: list[httpx2.Client] = []

    def client(self, consumer: str) -> httpx2.Client:
        """A client with a new key of the consumer."""
        return self.with_key(self.broker.api_keys.add(consumer))

    def with_key(self, key: str) -> httpx2.Client:
        """A client with that key; none where it is empty."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        made = httpx2.Client(base_url=self.url, headers=headers, timeout=20)
        self._made.append(made)
        return made

    def close(self) -> None:
        """Close the clients."""
        for made in self._made:
            made.close()


@contextmanager
def served(folder: Path, people: int = 0, **more: Any) -> Iterator[Served]:
    """A city, with some residents collected, served until the block ends."""
    if people:
        city.fill(folder, range(people), NOW)
    with (
        city.city(folder, **{"http_port": 0, "metrics_port": 0, **more}) as broker,
        city.city(folder) as beside,
    ):
        if people:
            city.collect(broker, limit=1_000)
        role = broker.serve_role(lambda url: None)
        stop = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                role.run(stop)
            except BaseException as error:  # noqa: BLE001  told by the test
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: role.url or failures)
        assert not failures, failures
        serving = Served(beside, role, stop)
        try:
            yield serving
        finally:
            serving.close()
            stop.set()
            thread.join(10)
            assert not thread.is_alive() and not failures


def change(folder: Path, broker: Broker, number: int, **changes: str) -> None:
    """A resident's row changes, and goes the whole way."""
    later = (NOW + timedelta(minutes=number + 1)).strftime("%Y-%m-%d %H:%M:%S")
    row = city.resident(number, NOW, **{"gxsj": later, **changes})
    city.put(city.county(folder, "371502"), row)
    city.collect(broker)
    city.relay(broker)


def live(broker: Broker, consumer: str, items: str = "name sex", **more: Any) -> Outcome:
    """A grant whose share is live."""
    outcome = city.grant(broker, consumer, items, **more)
    city.relay(broker)
    return outcome


def multiply(web: Served, topic: str, records: int) -> None:
    """Make a share large: its values again under other keys, straight into the log."""
    log = web.broker.log
    found = [one for part in range(4) for one in log.read(topic, part, 0, 100)]
    for start in range(0, records, 5_000):
        log.commit(
            Batch(
                appends=[
                    Append(topic, n % 4, n.to_bytes(16, "big"), found[n % len(found)].value)
                    for n in range(start, min(start + 5_000, records))
                ]
            )
        )


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its private key, made there."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(folder / "k.pem"), "-out", str(folder / "c.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "c.pem", folder / "k.pem"


def until(says: Callable[[], Any], seconds: float = 10) -> float:
    """See `city.until`."""
    return city.until(says, seconds)
