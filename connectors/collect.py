"""One batch of rows → what is appended, set aside, or nothing new. Pure but for the log's reads.

Law: a row with the hash it had is not appended again. A key moves to another source only on
a later `updated_at`; otherwise the row is quarantined. A delete touches only keys that its
source owns, and where there are row ids only what that row gave; it is remembered also where
there was nothing to delete. A row whose key changed leaves nothing under the old one, unless
another row has that key now.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import compress
from operator import itemgetter
from typing import Any

from broker.errors import ProjectionError
from broker.log.interface import Append, Log
from broker.model import Dataset
from broker.projection.avro import Codec
from broker.pseudonym import keyed_hash
from broker.seal import Sealer
from connectors.aside import Aside, Wrong
from connectors.candidates import Candidate, Contest, contest
from connectors.collected import Collected, Met
from connectors.convert import Converter
from connectors.moments import milliseconds
from connectors.ownership import VERSION, Owned, Ownership, RowKey
from connectors.plain import Plain, Read, key_part
from connectors.source import Fault, Row, Whole
from connectors.taking import Taking

_LARGEST_ROW = 8_000_000
"""Bytes that a record has at most: set aside, with its original bytes, it has to fit as well."""

_APPENDED, _DELETED, _UNCHANGED, _OUTDATED = "appended", "deleted", "unchanged", "outdated"
"""What may become of a row; names of `Counts`."""

_GONE = b"deleted\0"
"""What a deleted row is as a version."""

_UNCLEAR = b"unclear"
"""Instead of a hash: rows of one file that differ, of which none is later."""

_FUTURE = timedelta(days=1)
"""A row that says it was changed later than this from now is mistyped."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The dataset's keys: of record keys, and of row hashes."""

    record: bytes
    row: bytes


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
        one_by_one: bool = False,
    ) -> None:
        """`one_by_one`: no row is plain, each is read by itself."""
        self._dataset = dataset
        self.source = source
        self._converter = converter
        self._log = log
        self._sealer = sealer
        self._schema_id = schema_id
        self._secrets = secrets
        self._latest = datetime.now(UTC) + _FUTURE
        self._codec = Codec(dataset.schema)
        self._ownership = Ownership(dataset, log)
        self._aside = Aside(dataset, source, self._ownership, log, sealer, secrets.row)
        self._taking = Taking(dataset, source, self._ownership, sealer, schema_id)
        self._one_by_one = one_by_one
        self._filling: dict[bytes, Candidate] = {}
        self.met = Met()

    def origin(self, file: str) -> bytes:
        """What stands for a file in what is remembered."""
        return self._hash(f"file\0{self.source}\0{file}")[:8] if file else b""

    def collect(
        self, rows: Iterable[Row], origin: bytes = b"", whole: Whole | None = None
    ) -> Collected:
        """What is to be committed of some rows, and what became of them."""
        rows, done = list(rows), Collected()
        done.counts.rows += len(rows)
        read = Read(others=range(len(rows))) if self._one_by_one else self._plain.read(rows)
        others: list[tuple[int, Candidate]] = []
        for number in read.others:
            outcome = self._candidate(rows[number])
            if isinstance(outcome, Fault):
                done.wrong.append((rows[number], outcome))
            else:
                others.append((number, outcome))
        if whole is not None:
            self.met.keys.update(read.keys, (one.key for _, one in others))
        alone, shared = _apart(rows, read, {one.key for _, one in others})
        others += ((read.numbers[place], self._as_candidate(rows, read, place)) for place in shared)
        found = contest(one for _, one in sorted(others, key=itemgetter(0)))
        done.counts.duplicates += found.duplicates
        done.wrong += found.wrong
        left = self._taking.take(read, alone, origin, done)
        found.winners += (self._as_candidate(rows, read, place) for place in left)
        self._append(found, origin, whole, done)
        done.overtaken = found.duplicates + done.counts.outdated
        wrong = [self._wrong(row, fault) for row, fault in done.wrong]
        self._aside.put(wrong, done, origin, self.met if whole is not None else None)
        return done

    @cached_property
    def _plain(self) -> Plain:
        """Compiled with the first batch that is collected."""
        until, secrets = milliseconds(self._latest), self._secrets
        return Plain(self._dataset, self._converter, secrets.record, secrets.row, until)

    def _as_candidate(self, rows: Sequence[Row], read: Read, place: int) -> Candidate:
        """A row that was read among others, by itself."""
        row = rows[read.numbers[place]]
        return Candidate(
            row,
            read.keys[place],
            read.times[place],
            read.bodies[place],
            read.hashes[place],
            self._mark(row.id),
        )

    def fill(self, rows: Iterable[Row], origin: bytes) -> None:
        """Keep, of rows that stand in a file, the last for each key that is not live: by their
        time of change, then by the order of the files. Nothing is taken before all are seen."""
        candidates = [one for row in rows if isinstance(one := self._candidate(row), Candidate)]
        owners = self._ownership.of(one.key for one in candidates)
        for one in candidates:
            owned, best = owners.get(one.key), self._filling.get(one.key)
            if owned is not None and (owned.hash or one.updated_at <= owned.updated_at):
                continue
            now = replace(one, row=replace(one.row, origin=origin))
            if best is None or one.updated_at > best.updated_at:
                self._filling[one.key] = now
            elif one.updated_at < best.updated_at:
                continue
            elif origin != best.row.origin:
                self._filling[one.key] = now
            elif one.hash != best.hash:
                # two rows of one file: a deletion holds; else nothing is clear of that key
                hash_ = None if None in (one.hash, best.hash) else _UNCLEAR
                self._filling[one.key] = replace(now, hash=hash_, body=b"")

    def filled(self) -> Collected:
        """What is to be committed of what `fill` has kept."""
        done = Collected()
        kept = [one for one in self._filling.values() if one.hash != _UNCLEAR]
        had = self._ownership.rows_of(one.id for one in kept if one.id)
        winners = [
            one for one in kept if one.id not in had or had[one.id].is_version(one.hash or _GONE)
        ]
        self._filling = {}
        self._append(Contest(winners), b"", None, done)
        return done

    def row_key(self, row_id: str) -> RowKey | None:
        """What is known of the row with that id."""
        return self._noted(self._mark(row_id))

    def keys(self, rows: Iterable[Row]) -> set[bytes]:
        """The keys of rows, as far as they can be read; else, by its id, the row's last."""
        keys, unread = set[bytes](), list[bytes]()
        for row in rows:
            if key := self._key_of(row):
                keys.add(key)
            elif row.id:
                unread.append(self._mark(row.id))
        return keys | self._ownership.last_keys(unread)

    def _candidate(self, row: Row) -> Candidate | Fault:
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
        if len(body) > _LARGEST_ROW:
            mend = f"shorten the row: it may have {_LARGEST_ROW // 1_000_000} MB"
            return Fault("row_too_large", "", mend)
        row_hash = None if row.deleted else keyed_hash(self._secrets.row, body)
        mark = self._mark(row.id)
        return Candidate(row, self._key(record), milliseconds(changed), body, row_hash, mark)

    def _key(self, record: Mapping[str, Any]) -> bytes:
        values = [key_part(record[name]) for name in self._dataset.primary_key]
        return keyed_hash(
            self._secrets.record, json.dumps(values, ensure_ascii=False).encode("utf-8")
        )

    def _mark(self, row_id: str) -> bytes:
        """What stands for a row's unchanging id; empty where it has none."""
        return self._hash(f"row\0{self.source}\0{row_id}") if row_id else b""

    def _hash(self, text: str) -> bytes:
        return keyed_hash(self._secrets.row, text.encode("utf-8", "surrogateescape"))

    def _append(self, found: Contest, origin: bytes, whole: Whole | None, done: Collected) -> None:
        """Records and owners; what is not taken is added to the wrong ones, or counted."""
        both = (*found.winners, *found.passed)
        passed = {id(one) for one in found.passed}
        gone = {one.key: self._gone(one.key) for one in found.winners if not (one.hash or one.id)}
        had = self._ownership.rows_of([*(one.id for one in both if one.id), *gone.values()])
        owners = self._ownership.of(
            {*(one.key for one in both), *(last.key for last in had.values())}
        )

        def is_past(one: Candidate) -> bool:
            """Whether the row was read as it is later."""
            last = had.get(one.id)
            return (
                last is not None
                and one.updated_at < last.updated_at
                and not _wins(whole, origin, owners.get(last.key))
            )

        left: dict[bytes, Owned] = {}
        for one in both:
            if one.id and not is_past(one):
                key = self._move(one, had.get(one.id), owners, id(one) in passed, done)
                if key:
                    left[key] = replace(self._owned(one, origin), hash=None)
        owners |= left
        for one in found.winners:
            if is_past(one):
                done.counts.outdated += 1
                continue
            owned = owners.get(one.key)
            verdict = self._verdict(one, owned, _wins(whole, origin, owned))
            if isinstance(verdict, Fault):
                done.wrong.append((one.row, verdict))
                continue
            setattr(done.counts, verdict, getattr(done.counts, verdict) + 1)
            fresh = self._owned(one, origin)
            if verdict in (_APPENDED, _DELETED):
                left.pop(one.key, None)
                self._put(one.key, fresh, one.body, done)
                done.counts.superseded += bool(one.hash and owned and owned.hash)
            elif owned is None or owned.source != self.source:
                # deleted here before it was ever collected from here; of a row it is noted above
                note = RowKey(one.key, one.updated_at, _GONE[:VERSION])
                if one.key in gone and had.get(gone[one.key]) != note:
                    done.batch.tables.append(self._ownership.write_row(gone[one.key], note))
            elif verdict == _UNCHANGED:
                known = replace(owned, origin=fresh.origin, row=one.id)
                if one.hash is None:  # deleted once more: nothing older comes back
                    known = replace(known, updated_at=max(owned.updated_at, one.updated_at))
                if known != owned and one.key not in left:
                    done.batch.tables.append(self._ownership.write(one.key, known))
        if whole is not None and whole.deletes and not whole.file:
            left = {}  # the comparison at the end finds them, and asks where they are many
        for key, owner in left.items():
            done.counts.deleted += 1
            self._put(key, owner, b"", done)

    def _owned(self, one: Candidate, origin: bytes) -> Owned:
        origin = one.row.origin or origin
        return Owned(self.source, one.updated_at, one.hash, origin, one.id)

    def _gone(self, key: bytes) -> bytes:
        """What stands for a key that was deleted here and is not ours."""
        return self._hash(f"gone\0{self.source}\0{key.hex()}")

    def _noted(self, mark: bytes) -> RowKey | None:
        return self._ownership.rows_of([mark]).get(mark)

    def was_deleted(self, row: Row) -> bool:
        """Whether a row that was set aside was deleted since, while its key was not ours. Of a
        row with an id its last version says so."""
        one = self._candidate(row)
        if isinstance(one, Fault):
            return False
        note = self._noted(self._gone(one.key))
        return note is not None and one.updated_at <= note.updated_at

    def _move(
        self,
        one: Candidate,
        last: RowKey | None,
        owners: Mapping[bytes, Owned],
        passed: bool,
        done: Collected,
    ) -> bytes:
        """Note the key that a row has; the key that is live because of it and that it no
        longer has, being elsewhere, or deleted and `passed`. Empty where there is none."""
        now = RowKey(one.key, one.updated_at, (one.hash or _GONE)[:VERSION])
        if last != now:
            done.batch.tables.append(self._ownership.write_row(one.id, now))
        key = last.key if last else one.key
        is_elsewhere = key != one.key
        is_deleted = one.hash is None and passed
        owned = owners.get(key)
        is_live = owned is not None and owned.hash is not None
        is_of_row = owned is not None and (owned.source, owned.row) == (self.source, one.id)
        return key if is_live and is_of_row and (is_elsewhere or is_deleted) else b""

    def _verdict(self, one: Candidate, owned: Owned | None, wins: bool) -> "str | Fault":
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
        if one.id and owned.row not in (b"", one.id) and None in (one.hash, owned.hash):
            # one row's deletion says nothing of another row
            return _APPENDED if one.hash else _OUTDATED
        if one.updated_at < owned.updated_at and not wins:
            return _OUTDATED
        return _APPENDED if one.hash else _DELETED

    def _put(self, key: bytes, owned: Owned, body: bytes, done: Collected) -> None:
        """A record, or a tombstone where the owner says that it is deleted."""
        topic = self._dataset.collected_topic
        sealed = self._sealer.seal(topic, key, self._schema_id, body) if owned.hash else None
        done.batch.appends.append(Append(topic, self._ownership.partition(key), key, sealed))
        done.batch.tables.append(self._ownership.write(key, owned))

    def delete(self, missing: Iterable[tuple[bytes, Owned]]) -> Collected:
        """The tombstones of keys that are gone. When is not known, so that a row that comes
        back is newer whatever it says."""
        done, gone = Collected(), list(missing)
        had = self._ownership.rows_of(owned.row for _, owned in gone if owned.row)
        for key, owned in gone:
            done.counts.deleted += 1
            self._put(key, replace(owned, hash=None, updated_at=0), b"", done)
            if owned.row in had and had[owned.row].key == key:
                done.batch.tables.append(self._ownership.write_row(owned.row, None))
        return done

    def _wrong(self, row: Row, fault: Fault) -> Wrong:
        """A wrong row with what can be read of it."""
        read = self._converter.deletion(row.cells) if row.id and row.cells else None
        updated_at = None
        if isinstance(read, dict) and read["updated_at"] <= self._latest:
            updated_at = milliseconds(read["updated_at"])
        return Wrong(row, fault, self._key_of(row), self._mark(row.id), updated_at)

    def _key_of(self, row: Row) -> bytes:
        """The collected key of a wrong row; empty where it cannot be read."""
        key = self._converter.key(row.cells) if row.cells else None
        return self._key(key) if key is not None else b""


def _wins(whole: Whole | None, origin: bytes, owned: Owned | None) -> bool:
    """Whether a row stands whatever was known of its key: it is of a file that replaces what
    the key came with, or all earlier ones, or of a table that is read whole."""
    if whole is None:
        return False
    if origin:
        return not whole.file or (owned is not None and owned.origin == origin)
    return whole.deletes


def _apart(
    rows: Sequence[Row], read: Read, taken: Set[bytes]
) -> tuple[Sequence[int], Sequence[int]]:
    """Of what was read, the places of rows that have their keys to themselves, none of which is
    among those `taken`, and of all others: every one where there are row ids, for what becomes of
    a row may then have to do with another's key."""
    keys = read.keys
    places = range(len(keys))
    if any(row.id for row in rows):
        return (), places
    if len(set(keys)) == len(keys) and taken.isdisjoint(keys):
        return places, ()
    count = Counter(keys)
    is_alone = [count[key] == 1 and key not in taken for key in keys]
    return list(compress(places, is_alone)), [at for at in places if not is_alone[at]]
