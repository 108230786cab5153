"""One batch of rows → what is appended, set aside, or nothing new. Pure but for the log's reads.

Law: of rows with one key, identical ones are declared duplicates, the latest wins, and
where the latest differ all are quarantined. A row with the hash it had is not appended
again. A key moves to another source only on a later `updated_at`; otherwise the row is
quarantined. A delete touches only keys its source owns. A row whose key changed leaves
nothing under the old one, unless another row has that key now.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from broker.errors import ProjectionError
from broker.log.interface import Append, Batch, Log, TableWrite
from broker.log.topics import rejected_table
from broker.model import Dataset
from broker.projection.avro import Codec
from broker.pseudonym import keyed_hash
from broker.quarantine import Quarantine, Quarantined, WayBack
from broker.seal import Sealer
from connectors.cells import pack
from connectors.convert import Converter
from connectors.ownership import Owned, Ownership
from connectors.source import Fault, Row, Whole

_APPENDED, _DELETED, _UNCHANGED, _OUTDATED = "appended", "deleted", "unchanged", "outdated"
"""What may become of a row; names of `Counts`."""

_FUTURE = timedelta(days=1)
"""A row that says it was changed later than this from now is mistyped."""


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

    @property
    def news(self) -> int:
        """How many rows were not known before."""
        return self.appended + self.deleted + self.quarantined

    def add(self, other: "Counts") -> None:
        """Add another batch's counts."""
        for name in (
            "rows", "appended", "deleted", "unchanged", "outdated", "duplicates",
            "superseded", "quarantined", "waiting", "stale",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)


@dataclass(slots=True)
class Collected:
    """A batch to commit (without the position), what became of the rows, and the wrong ones.

    `marks`: what a wrong row is known by in quarantine, by its `id()`.
    """

    batch: Batch = field(default_factory=Batch)
    counts: Counts = field(default_factory=Counts)
    wrong: list[tuple[Row, Fault]] = field(default_factory=list)
    marks: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Met:
    """What a whole pass has met: the keys, and the marks of the wrong rows."""

    keys: set[bytes] = field(default_factory=set)
    wrong: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: Row
    key: bytes
    updated_at: int
    body: bytes
    hash: bytes | None
    id: bytes


class Collector:
    """Turns batches of one source into log batches, for one run."""

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
    ) -> None:
        self._dataset = dataset
        self.source = source
        self._converter = converter
        self._log = log
        self._sealer = sealer
        self._schema_id = schema_id
        self._secrets = secrets
        self._latest = datetime.now(UTC) + _FUTURE
        self._codec = Codec(dataset.schema)
        self._quarantine = Quarantine(dataset, sealer)
        self._ownership = Ownership(dataset, log)
        self._set_aside_now: set[bytes] = set()
        self.met = Met()

    def origin(self, file: str) -> bytes:
        """What stands for a file in what is remembered."""
        return self._hash(f"file\0{self.source}\0{file}")[:8] if file else b""

    def collect(
        self, rows: Iterable[Row], origin: bytes = b"", whole: Whole | None = None
    ) -> Collected:
        """What is to be committed of some rows, and what became of them."""
        done = Collected()
        by_key: dict[bytes, list[_Candidate]] = defaultdict(list)
        for row in rows:
            done.counts.rows += 1
            outcome = self._candidate(row)
            if isinstance(outcome, Fault):
                done.wrong.append((row, outcome))
            else:
                by_key[outcome.key].append(outcome)
        winners: list[_Candidate] = []
        for candidates in by_key.values():
            winner, unclear = _winner(candidates)
            fault = Fault("duplicate_key", "", "keep one row of this key, or date the change")
            done.wrong.extend((one.row, fault) for one in unclear)
            if winner is not None:
                done.counts.duplicates += len(candidates) - len(unclear) - 1
                winners.append(winner)
        if whole is not None:
            self.met.keys.update(by_key)
        self._append(self._one_key_a_row(winners, done), origin, whole, done)
        self._set_aside(done, origin, whole)
        return done

    def _one_key_a_row(self, winners: list[_Candidate], done: Collected) -> list[_Candidate]:
        """Of the keys that one row had one after the other, the last."""
        by_id: dict[bytes, list[_Candidate]] = defaultdict(list)
        for one in winners:
            by_id[one.id].append(one)
        found = by_id.pop(b"", [])
        fault = Fault("duplicate_row_id", "", "give every row an id of its own")
        for some in by_id.values():
            latest = max(one.updated_at for one in some)
            last = [one for one in some if one.updated_at == latest]
            done.counts.duplicates += len(some) - len(last)
            if len(last) == 1:
                found += last
            else:
                done.wrong.extend((one.row, fault) for one in last)
        return found

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
        moment = int(changed.timestamp() * 1000)
        return _Candidate(row, self._key(record), moment, body, row_hash, self._mark(row.id))

    def _key(self, record: Mapping[str, Any]) -> bytes:
        values = [_plain(record[name]) for name in self._dataset.primary_key]
        return keyed_hash(
            self._secrets.record, json.dumps(values, ensure_ascii=False).encode("utf-8")
        )

    def _mark(self, row_id: str) -> bytes:
        """What stands for a row's unchanging id; empty where it has none."""
        return self._hash(f"row\0{self.source}\0{row_id}") if row_id else b""

    def _hash(self, text: str) -> bytes:
        return keyed_hash(self._secrets.row, text.encode("utf-8", "surrogateescape"))

    def _append(
        self, winners: list[_Candidate], origin: bytes, whole: Whole | None, done: Collected
    ) -> None:
        """Records and owners; what is not taken is added to the wrong ones, or counted."""
        had = self._ownership.keys_of(one.id for one in winners if one.id)
        owners = self._ownership.of({*(one.key for one in winners), *had.values()})
        taken: set[bytes] = set()
        accepted: list[_Candidate] = []
        for one in winners:
            last = had.get(one.id, one.key)
            if last != one.key and self._is_of(owners.get(last), one, since=one.updated_at + 1):
                done.counts.outdated += 1  # its row has another key since
                continue
            owned = owners.get(one.key)
            fresh = Owned(self.source, one.updated_at, one.hash, origin, one.id)
            verdict = self._verdict(one, owned, fresh, whole)
            if isinstance(verdict, Fault):
                done.wrong.append((one.row, verdict))
                continue
            setattr(done.counts, verdict, getattr(done.counts, verdict) + 1)
            if verdict == _OUTDATED:
                continue
            accepted.append(one)
            if verdict in (_APPENDED, _DELETED):
                taken.add(one.key)
                self._put(one.key, fresh, one.body, done)
                done.counts.superseded += bool(one.hash and owned and owned.hash)
            elif owned is not None and owned.source == self.source:
                known = replace(owned, origin=origin, row=one.id)
                if known != owned:
                    taken.add(one.key)
                    done.batch.tables.append(self._ownership.write(one.key, known))
        for one in accepted:
            last = had.get(one.id, b"") if one.id else one.key
            if last != one.key:
                done.batch.tables.append(self._ownership.write_row(one.id, one.key))
            owned = owners.get(last)
            if last and last != one.key and last not in taken and self._is_of(owned, one):
                done.counts.deleted += 1
                self._put(last, Owned(self.source, one.updated_at, None, origin, one.id), b"", done)

    def _verdict(
        self, one: _Candidate, owned: Owned | None, fresh: Owned, whole: Whole | None
    ) -> "str | Fault":
        """What becomes of a row: the name of its count, or why it is set aside."""
        if owned is None:
            return _APPENDED if one.hash else _UNCHANGED
        if owned.source != self.source:
            if one.hash is None:
                return _UNCHANGED
            if one.updated_at <= owned.updated_at:
                mend = f"the key belongs to {owned.source}; date the change later, or remove it"
                return Fault("owned_by_other_source", "", mend)
            return _APPENDED
        if one.hash == owned.hash:
            return _UNCHANGED
        # a corrected file wins over what it corrects, a whole one over every earlier one
        wins = (
            whole is not None
            and bool(fresh.origin)
            and (not whole.file or owned.origin == fresh.origin)
        )
        if one.updated_at < owned.updated_at and not wins:
            return _OUTDATED
        return _APPENDED if one.hash else _DELETED

    def _is_of(self, owned: Owned | None, one: _Candidate, since: int | None = None) -> bool:
        """Whether a key is live because of this row, as changed at `since` or later."""
        return (
            owned is not None
            and (owned.source, owned.row) == (self.source, one.id)
            and owned.hash is not None
            and (since is None or owned.updated_at >= since)
        )

    def _put(self, key: bytes, owned: Owned, body: bytes, done: Collected) -> None:
        """A record, or a tombstone where the owner says that it is deleted."""
        topic = self._dataset.collected_topic
        sealed = self._sealer.seal(topic, key, self._schema_id, body) if owned.hash else None
        done.batch.appends.append(Append(topic, self._ownership.partition(key), key, sealed))
        done.batch.tables.append(self._ownership.write(key, owned))

    def delete(self, missing: Iterable[tuple[bytes, Owned]]) -> Collected:
        """The tombstones of keys that are gone."""
        done = Collected()
        for key, owned in missing:
            done.counts.deleted += 1
            self._put(key, replace(owned, hash=None), b"", done)
        return done

    def _set_aside(self, done: Collected, origin: bytes, whole: Whole | None) -> None:
        """Quarantine what is not there yet: a wrong row that is read again is the same row."""
        if not done.wrong:
            return
        table, counts = rejected_table(self._dataset.id), done.counts
        keys = {id(row): self._key_of(row) for row, _ in done.wrong}
        owners = self._ownership.of(filter(None, keys.values()))
        fresh: dict[bytes, list[tuple[Row, Fault]]] = defaultdict(list)
        for row, fault in done.wrong:
            told = (self.source, row.where, fault.reason)
            text = b"\0".join((*(part.encode() for part in told), row.raw))
            mark = done.marks[id(row)] = keyed_hash(self._secrets.row, text)
            fresh[mark].append((row, fault))
        if whole is not None:
            self.met.keys.update(filter(None, keys.values()))
            self.met.wrong.update(fresh)
        known = self._log.entries(table, 0, fresh)
        for mark, some in fresh.items():
            if mark in self._set_aside_now:
                counts.duplicates += len(some)
                continue
            if mark in known:
                counts.waiting += len(some)
                continue
            self._set_aside_now.add(mark)
            done.batch.tables.append(TableWrite(table, 0, mark, b"1"))
            for row, fault in some:
                counts.quarantined += 1
                counts.reasons[fault.reason] += 1
                key = keys[id(row)]
                owned = owners.get(key)
                back = WayBack(
                    cells=pack(row.cells) if row.cells else b"",
                    place=row.where.encode(),
                    key=key,
                    seen=owned.pack() if owned else b"",
                    mark=mark,
                    origin=origin,
                )
                done.batch.appends.append(self._quarantine.append(self._entry(row, fault, back)))
        # an older, good version of the key stays in place
        counts.stale += sum(
            owned.hash is not None
            for key in {key for key in keys.values() if key}
            if (owned := owners.get(key)) is not None
        )

    def _entry(self, row: Row, fault: Fault, back: WayBack) -> Quarantined:
        where = f"{row.where} {fault.column}".strip()
        return Quarantined(fault.reason, self.source, where, fault.mend, row.raw, back)

    def _key_of(self, row: Row) -> bytes:
        """The collected key of a wrong row; empty where it cannot be read."""
        key = self._converter.key(row.cells) if row.cells else None
        return self._key(key) if key is not None else b""


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
