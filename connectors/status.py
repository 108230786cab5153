"""Where each source stands after its last run, for `shuqiao connect status`.

Law: the state is honest: `idle` only after a run that read to the end. It is sealed at
rest, for an error may name a department's file.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from broker.log.interface import Batch, Log, TableWrite
from broker.log.topics import sources_table
from broker.seal import Sealer

RUNNING, IDLE, FAILED = "running", "idle", "failed"

_NO_SCHEMA = 0
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Status:
    """Times are ISO 8601 in UTC; `last_row` is when a row was read last; `rows` and
    `quarantined` count all runs; `stale` the keys whose last row was wrong, so that an older
    good version stands."""

    state: str
    error: str = ""
    last_run: str = ""
    last_success: str = ""
    last_row: str = ""
    rows: int = 0
    quarantined: int = 0
    stale: int = 0

    def says_more_than(self, other: "Status") -> bool:
        """Whether anything differs but when it was, and rows that were known."""
        same = replace(
            self, last_run=other.last_run, last_success=other.last_success, rows=other.rows
        )
        return same != other


class Statuses:
    """The statuses of one dataset's sources, in the log's file."""

    def __init__(self, dataset: str, log: Log, sealer: Sealer) -> None:
        self._table = sources_table(dataset)
        self._log = log
        self._sealer = sealer

    def get(self, source: str) -> Status | None:
        """The status of a source; None before its first run."""
        key = source.encode()
        sealed = self._log.entries(self._table, 0, [key]).get(key)
        return self._open(key, sealed) if sealed else None

    def put(self, source: str, status: Status) -> None:
        """Leave a source's status."""
        key, body = source.encode(), json.dumps(asdict(status), ensure_ascii=False).encode()
        sealed = self._sealer.seal(self._table, key, _NO_SCHEMA, body)
        self._log.commit(Batch(tables=[TableWrite(self._table, 0, key, sealed)]))

    def remove(self, source: str) -> None:
        """Forget a source."""
        self._log.commit(Batch(tables=[TableWrite(self._table, 0, source.encode(), None)]))

    def all(self) -> Iterator[tuple[str, Status]]:
        """Every source that ever ran, with its status."""
        for key, sealed in self._log.scan(self._table, 0, b"", _MOST):
            yield key.decode(), self._open(key, sealed)

    def names(self) -> list[str]:
        """The names of these sources; no status is opened."""
        return [key.decode() for key, _ in self._log.scan(self._table, 0, b"", _MOST)]

    def _open(self, key: bytes, sealed: bytes) -> Status:
        return Status(**json.loads(self._sealer.open(self._table, key, sealed).body))
