"""What pulling a share over HTTP costs, by form, from `serve` as a process of its own."""

import http.client
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests import city
from tests.bench.measure import cpu_seconds, rate
from tests.bench.roles import Running, running
from tests.bench.rows import Row
from tests.bench.towns import DATASET, enlarge, filled, live

_PLACE = f"/v1/datasets/{DATASET}"
_PAGE = 5_000


def pull(rows: int = 60_000) -> dict[str, Any]:
    """Snapshots as CSV, Avro and lines of JSON; pages of records as JSON and Avro."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        filled(Path(name), broker, 1_000)
        share = live(broker, "reader", "id_no name sex birth_date hukou_addr division_code status")
        enlarge(broker, share, rows - 1_000)
        key = broker.api_keys.add("reader")
        with running(Path(name), "serve") as roles:
            serve = roles["serve"]
            found: dict[str, Any] = {}
            for form in ("ndjson", "csv", "avro"):
                found[f"snapshot_{form}"] = _cost(serve, rows, lambda f=form: _snapshot(
                    serve.url, key, f
                ))  # fmt: skip
            found["records_json"] = _cost(serve, rows, lambda: _records(serve.url, key))
        return found


def pull_rows(engine: str, transport: str) -> Iterator[Row]:
    """The same as rows."""
    for name, one in pull().items():
        yield Row(
            f"pull, {name.replace('_', ' as ')}",
            engine,
            transport,
            one.pop("records_per_second"),
            one.pop("cpu_us_per_record"),
            more=one,
        )


def _cost(serve: Running, rows: int, work: Callable[[], int]) -> dict[str, float]:
    """The rate of one pull of everything, the CPU being the server's."""
    cpu, started = cpu_seconds(serve.pid), time.perf_counter()
    size = work()
    seconds = time.perf_counter() - started
    return {
        **rate(rows, seconds, cpu_seconds(serve.pid) - cpu),
        "us_per_record": round(seconds / rows * 1e6, 1),
        "mb_per_second": round(size / seconds / 1e6, 1),
        "bytes_per_record": round(size / rows),
    }


def _snapshot(url: str, key: str, form: str) -> int:
    """Bytes of a whole snapshot."""
    answer = _ask(_connection(url), key, f"{_PLACE}/snapshot?format={form}")
    size = 0
    while piece := answer.read(1 << 18):
        size += len(piece)
    return size


def _records(url: str, key: str) -> int:
    """Bytes of all pages of records, by the cursor."""
    connection, cursor, size, more = _connection(url), "", 0, True
    while more:
        page = _ask(connection, key, f"{_PLACE}/records?limit={_PAGE}&cursor={cursor}").read()
        size += len(page)
        # what stands behind the records, so that the client's own reading costs nothing
        tail = json.loads(b"{" + page[page.rindex(b'"cursor"') :])
        cursor, more = tail["cursor"], tail["more"]
    return size


def _connection(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)


def _ask(connection: http.client.HTTPConnection, key: str, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{path} was answered {answer.status}")
    return answer
