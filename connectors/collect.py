"""One batch of rows → what is appended, set aside, or nothing new. Pure but for the log's reads.

Law: of rows with one key, identical ones are declared duplicates, the latest wins, and
where the latest differ all are quarantined. A row with the hash it had is not appended
again. A key moves to another source only on a later `updated_at`; otherwise the row is
quarantined. A delete touches only keys its source owns.
"""

import json
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from broker.errors import ProjectionError
from broker.log.interface import Append, Batch, Log, TableWrite
from broker.log.topics import owners_table, partition_of, rejected_table
from broker.model import Dataset
from broker.projection.avro import Codec
from broker.pseudonym import keyed_hash
from broker.quarantine import Quarantine, Quarantined
from broker.seal import Sealer
from connectors.convert import Converter
from connectors.source import Fault, Row

_ENTRY = struct.Struct(">qB16s")
_GONE = b"\0" * 16


@dataclass(frozen=True, slots=True)
class Secrets:
    """The dataset's keys: of record keys, and of row hashes."""

    record: bytes
    row: bytes


@dataclass(slots=True)
class Counts:
    """What became of the rows read. `outdated`: the log has a later version of the key;
    `superseded`: an earlier row of the same key gave way; `waiting`: wrong as before, and
    in quarantine already."""

    rows: int = 0
    appended: int = 0
    deleted: int = 0
    unchanged: int = 0
    outdated: int = 0
    duplicates: int = 0
    superseded: int = 0
    quarantined: int = 0
    waiting: int = 0
    stale: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Counts") -> None:
        """Add another batch's counts."""
        for name in (
            "rows", "appended", "deleted", "unchanged", "outdated", "duplicates",
            "superseded", "quarantined", "waiting", "stale",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)


@dataclass(frozen=True, slots=True)
class Owned:
    """Who owns a key: source, `updated_at` (ms), and the row's hash (None: deleted)."""

    source: str
    updated_at: int
    hash: bytes | None

    def pack(self) -> bytes:
        """As stored."""
        gone = self.hash is None
        return _ENTRY.pack(self.updated_at, gone, self.hash or _GONE) + self.source.encode()

    @classmethod
    def unpack(cls, stored: bytes) -> "Owned":
        """From its stored form."""
        updated_at, gone, row_hash = _ENTRY.unpack_from(stored)
        source = stored[_ENTRY.size :].decode()
        return cls(source, updated_at, None if gone else row_hash)


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: Row
    key: bytes
    updated_at: int
    body: bytes
    hash: bytes | None


class Collector:
    """Turns batches of one source into log batches."""

    def __init__(
        self,
        dataset: Dataset,
        source: str,
        converter: Converter,
        *,
        log: Log,
        sealer: Sealer,
        schema_id: int,
        secrets: Secrets,
        latest: datetime,
    ) -> None:
        """`latest`: a row that says it was changed after this is wrong."""
        self._dataset = dataset
        self._source = source
        self._converter = converter
        self._log = log
        self._sealer = sealer
        self._schema_id = schema_id
        self._secrets = secrets
        self._latest = latest
        self._codec = Codec(dataset.schema)
        self._quarantine = Quarantine(dataset, sealer)
        self._set_aside_now: set[bytes] = set()

    def collect(self, rows: Iterable[Row]) -> tuple[Batch, Counts]:
        """The batch to commit (without the position), and what became of the rows."""
        batch, counts = Batch(), Counts()
        faults: list[tuple[Row, Fault]] = []
        by_key: dict[bytes, list[_Candidate]] = defaultdict(list)
        for row in rows:
            counts.rows += 1
            outcome = self._candidate(row)
            if isinstance(outcome, Fault):
                faults.append((row, outcome))
            else:
                by_key[outcome.key].append(outcome)
        winners: list[_Candidate] = []
        for candidates in by_key.values():
            winner, unclear = _winner(candidates)
            fault = Fault("duplicate_key", "", "keep one row of this key, or date the change")
            faults.extend((one.row, fault) for one in unclear)
            if winner is not None:
                counts.duplicates += len(candidates) - len(unclear) - 1
                winners.append(winner)
        faults.extend(self._append(winners, batch, counts))
        self._set_aside(faults, batch, counts)
        return batch, counts

    def _candidate(self, row: Row) -> _Candidate | Fault:
        if row.fault is not None:
            return row.fault
        converter = self._converter
        record = converter.deletion(row.cells) if row.deleted else converter.record(row.cells)
        if isinstance(record, Fault):
            return record
        changed: datetime = record["updated_at"]
        if changed > self._latest:
            column = converter.column_of("updated_at")
            return Fault("changed_in_future", column, "mend the time of change")
        try:
            body = b"" if row.deleted else self._codec.encode(record)
        except ProjectionError:
            return Fault("does_not_fit", "", "compare the row with `shuqiao catalog show`")
        row_hash = None if row.deleted else keyed_hash(self._secrets.row, body)
        return _Candidate(row, self._key(record), int(changed.timestamp() * 1000), body, row_hash)

    def _key(self, record: Mapping[str, Any]) -> bytes:
        values = [_plain(record[name]) for name in self._dataset.primary_key]
        return keyed_hash(
            self._secrets.record, json.dumps(values, ensure_ascii=False).encode("utf-8")
        )

    def _append(
        self, winners: list[_Candidate], batch: Batch, counts: Counts
    ) -> list[tuple[Row, Fault]]:
        faults: list[tuple[Row, Fault]] = []
        owners = self._owners(one.key for one in winners)
        topic, table = self._dataset.collected_topic, owners_table(self._dataset.id)
        for one in winners:
            owned = owners.get(one.key)
            if owned is None and one.hash is None:
                counts.unchanged += 1
                continue
            if owned is not None and owned.source != self._source:
                if one.hash is None:
                    counts.unchanged += 1
                    continue
                if one.updated_at <= owned.updated_at:
                    mend = f"the key belongs to {owned.source}; date the change later, or remove it"
                    faults.append((one.row, Fault("owned_by_other_source", "", mend)))
                    continue
            elif owned is not None and one.hash == owned.hash:
                counts.unchanged += 1
                continue
            elif owned is not None and one.updated_at < owned.updated_at:
                counts.outdated += 1
                continue
            partition = partition_of(one.key, self._dataset.partitions)
            sealed = None
            if one.hash is None:
                counts.deleted += 1
            else:
                sealed = self._sealer.seal(topic, one.key, self._schema_id, one.body)
                counts.appended += 1
                counts.superseded += owned is not None and owned.hash is not None
            batch.appends.append(Append(topic, partition, one.key, sealed))
            entry = Owned(self._source, one.updated_at, one.hash).pack()
            batch.tables.append(TableWrite(table, partition, one.key, entry))
        return faults

    def _owners(self, keys: Iterable[bytes]) -> dict[bytes, Owned]:
        by_partition: dict[int, list[bytes]] = defaultdict(list)
        for key in keys:
            by_partition[partition_of(key, self._dataset.partitions)].append(key)
        table = owners_table(self._dataset.id)
        return {
            key: Owned.unpack(stored)
            for partition, some in by_partition.items()
            for key, stored in self._log.entries(table, partition, some).items()
        }

    def _set_aside(self, faults: list[tuple[Row, Fault]], batch: Batch, counts: Counts) -> None:
        """Quarantine what is not there yet: a wrong row that is read again is the same row."""
        table = rejected_table(self._dataset.id)
        fresh: dict[bytes, list[tuple[Row, Fault]]] = defaultdict(list)
        for row, fault in faults:
            told = (self._source, row.where, fault.reason)
            text = b"\0".join((*(part.encode() for part in told), row.raw))
            fresh[keyed_hash(self._secrets.row, text)].append((row, fault))
        known = self._log.entries(table, 0, fresh)
        for mark, some in fresh.items():
            if mark in self._set_aside_now:
                counts.duplicates += len(some)
                continue
            if mark in known:
                counts.waiting += len(some)
                continue
            self._set_aside_now.add(mark)
            batch.tables.append(TableWrite(table, 0, mark, b"1"))
            for row, fault in some:
                counts.quarantined += 1
                counts.reasons[fault.reason] += 1
                batch.appends.append(self._quarantine.append(self._entry(row, fault)))
        counts.stale += self._stale([row for row, _ in faults if row.cells])

    def _entry(self, row: Row, fault: Fault) -> Quarantined:
        where = f"{row.where} {fault.column}".strip()
        return Quarantined(fault.reason, self._source, where, fault.mend, row.raw)

    def _stale(self, rows: list[Row]) -> int:
        """How many of the wrong rows have an older, good version that stays in place."""
        keys = {
            self._key(key) for row in rows if (key := self._converter.key(row.cells)) is not None
        }
        return sum(owned.hash is not None for owned in self._owners(keys).values())


def _winner(candidates: list[_Candidate]) -> tuple[_Candidate | None, list[_Candidate]]:
    """The latest row, and the rows that are not clear: where several of the latest differ,
    a delete holds against the others; without one, none of them is taken."""
    latest = max(one.updated_at for one in candidates)
    last = [one for one in candidates if one.updated_at == latest]
    if len({one.hash for one in last}) == 1:
        return last[0], []
    gone = next((one for one in last if one.hash is None), None)
    if gone is None:
        return None, candidates
    return gone, [one for one in last if one.hash is not None]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
