"""Sets wrong rows aside: into quarantine, with the way back.

Law: a wrong row that is read again is the same entry. What was known of its key, its own
batch included, goes with it, so that a replay sees whether something came after. A row with
an id is remembered as it was read last: another version of it stands nowhere again.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from broker.log.interface import LARGEST, Log, TableWrite
from broker.log.topics import rejected_table
from broker.model import Dataset
from broker.pseudonym import keyed_hash
from broker.quarantine import Quarantine, Quarantined, WayBack
from broker.seal import Sealer
from connectors.candidates import AMBIGUOUS
from connectors.cells import pack
from connectors.collected import Collected, Met
from connectors.ownership import VERSION, Owned, Ownership, RowKey
from connectors.source import Fault, Row

_KEPT = LARGEST * 7 // 10
"""Bytes of a wrong row that an entry keeps: they are told in base64."""

_UNKNOWN = RowKey(b"", -(1 << 62), b"")
"""A row that was never read before."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong row, and what can be read of it: `key` and `id` as marks, empty where there is
    none; `updated_at` in ms."""

    row: Row
    fault: Fault
    key: bytes
    id: bytes
    updated_at: int | None


class Aside:
    """The wrong rows of one source, for one run. `secret` is the key of row hashes."""

    def __init__(
        self,
        dataset: Dataset,
        source: str,
        ownership: Ownership,
        log: Log,
        sealer: Sealer,
        secret: bytes,
    ) -> None:
        self._source = source
        self._ownership = ownership
        self._log = log
        self._secret = secret
        self._table = rejected_table(dataset.id)
        self._quarantine = Quarantine(dataset, sealer)
        self._now: set[bytes] = set()

    def put(self, wrong: Sequence[Wrong], done: Collected, origin: bytes, met: Met | None) -> None:
        """Add to the batch what is not in quarantine yet; `met` is told of all of them."""
        if not wrong:
            return
        keys = {one.key for one in wrong if one.key}
        owners = self._ownership.of(keys) | self._ownership.written(done.batch, keys)
        fresh: dict[bytes, list[Wrong]] = defaultdict(list)
        for one in wrong:
            mark = done.marks[id(one.row)] = self._mark(one)
            fresh[mark].append(one)
        if met is not None:
            unread = (one.id for one in wrong if one.id and not one.key)
            met.keys |= keys | self._ownership.last_keys(unread)
            met.wrong.update(fresh)
        known = self._log.entries(self._table, 0, fresh)
        for mark, some in fresh.items():
            if mark in self._now:
                done.counts.duplicates += len(some)
            elif mark in known:
                done.counts.waiting += len(some)
            else:
                self._now.add(mark)
                done.batch.tables.append(TableWrite(self._table, 0, mark, b"1"))
                for one in some:
                    self._add(one, mark, owners.get(one.key), one.row.origin or origin, done)
        self._note(wrong, done)
        # an older, good version of the key stays in place
        done.counts.stale += sum(key in owners and owners[key].hash is not None for key in keys)

    def _add(
        self, one: Wrong, mark: bytes, owned: Owned | None, origin: bytes, done: Collected
    ) -> None:
        row, fault = one.row, one.fault
        done.counts.quarantined += 1
        done.counts.reasons[fault.reason] += 1
        cells, raw = pack(row.cells) if row.cells else b"", row.raw
        if len(cells) + len(raw) > _KEPT:
            cells, raw = b"", b""  # it stands at the source, and comes again when it changes
        back = WayBack(
            cells=cells,
            place=row.where.encode(),
            key=one.key,
            seen=owned.pack() if owned else b"",
            mark=mark,
            origin=origin,
        )
        where = f"{row.where} {fault.column}".strip()
        entry = Quarantined(fault.reason, self._source, where, fault.mend, raw, back)
        done.batch.appends.append(self._quarantine.append(entry))

    def _note(self, wrong: Sequence[Wrong], done: Collected) -> None:
        """Remember what rows with ids were when they were read last."""
        named = [one for one in wrong if one.id]
        had = self._ownership.rows_of(one.id for one in named)
        had |= self._ownership.written_rows(done.batch, {one.id for one in named})
        for one in named:
            last = had.get(one.id, _UNKNOWN)
            at = last.updated_at if one.updated_at is None else one.updated_at
            if at < last.updated_at:
                continue  # read again, behind a later version
            version = b"" if one.fault.reason in AMBIGUOUS else done.marks[id(one.row)][:VERSION]
            now = had[one.id] = RowKey(last.key, at, version)
            if now != last:
                done.batch.tables.append(self._ownership.write_row(one.id, now))

    def _mark(self, one: Wrong) -> bytes:
        told = (self._source, one.row.where, one.fault.reason)
        text = b"\0".join((*(part.encode() for part in told), one.row.raw))
        return keyed_hash(self._secret, text)
