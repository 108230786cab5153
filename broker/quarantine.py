"""The quarantine topic: what could not be collected or shared, sealed, with what to do.

Law: nothing is lost and nothing shows. A quarantined record keeps the original
bytes, but only inside the seal; reason, place and remedy hold no value of a record.
"""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice

from broker.errors import SealError
from broker.log.interface import Append, Batch, Log, Stored, TableWrite
from broker.log.reading import records
from broker.log.topics import partition_of, rejected_table
from broker.model import Dataset
from broker.seal import Sealer

NO_SCHEMA = 0
"""The schema id of a quarantine envelope: its body is JSON, not Avro."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a row that was set aside can be collected from again: its cells, its key where that
    could be read, and `seen`, the key's owner as it was then. `mark` is what the row is known
    by, `place` where it stood, `origin` the file it came with, as a keyed hash."""

    cells: bytes = b""
    place: bytes = b""
    key: bytes = b""
    seen: bytes = b""
    mark: bytes = b""
    origin: bytes = b""


NO_WAY_BACK = WayBack()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One entry. `reason` is a code, `where` the place (`dibao-01.csv:17`, an offset),
    `mend` what to do; `raw` the original bytes, never shown."""

    reason: str
    source: str
    where: str
    mend: str
    raw: bytes = b""
    back: WayBack = NO_WAY_BACK

    def __repr__(self) -> str:
        return (
            f"Quarantined({self.reason!r}, {self.source!r}, {self.where!r}, {len(self.raw)} bytes)"
        )


class Quarantine:
    """Writes and reads the quarantine topic of one dataset."""

    def __init__(self, dataset: Dataset, sealer: Sealer) -> None:
        self._topic = dataset.quarantine_topic
        self._rejected = rejected_table(dataset.id)
        self._partitions = dataset.partitions
        self._sealer = sealer

    def append(self, entry: Quarantined, key: bytes = b"") -> Append:
        """The sealed record to put into the caller's batch. What is set aside again under
        the same `key` is one entry; a key is made where none is given."""
        body = json.dumps(
            {
                "reason": entry.reason,
                "source": entry.source,
                "where": entry.where,
                "mend": entry.mend,
                "raw": _text(entry.raw),
                "back": {name: _text(part) for name, part in asdict(entry.back).items()},
            },
            ensure_ascii=False,
        ).encode()
        key = key or os.urandom(16)
        sealed = self._sealer.seal(self._topic, key, NO_SCHEMA, body)
        return Append(self._topic, partition_of(key, self._partitions), key, sealed)

    def open(self, stored: Stored) -> Quarantined:
        """The entry of a stored record; `SealError` where it cannot be opened."""
        if stored.value is None:
            raise SealError("a quarantine record has no value", where=self._topic)
        body = json.loads(self._sealer.open(self._topic, stored.key, stored.value).body)
        return Quarantined(
            reason=body["reason"],
            source=body["source"],
            where=body["where"],
            mend=body["mend"],
            raw=base64.b64decode(body["raw"]),
            back=WayBack(
                **{name: base64.b64decode(part) for name, part in body.get("back", {}).items()}
            ),
        )

    def take_out(self, key: bytes, entry: Quarantined, batch: Batch) -> None:
        """Put into the batch what takes an entry out: a tombstone; and the row it came from,
        should it come again, is a new one."""
        batch.appends.append(Append(self._topic, partition_of(key, self._partitions), key, None))
        if entry.back.mark:
            batch.tables.append(TableWrite(self._rejected, 0, entry.back.mark, None))

    def waiting(self, log: Log) -> Iterator[tuple[int, Stored, Quarantined]]:
        """Every entry that is not settled, with its partition and record."""
        if self._topic not in log.topics():
            return
        for partition in range(self._partitions):
            end = log.end(self._topic, partition)
            found = records(log, self._topic, partition, 0, end)
            newest = {stored.key: stored for stored in found}
            for stored in newest.values():
                if stored.value is not None:
                    yield partition, stored, self.open(stored)

    def entries(self, log: Log, limit: int = 1000) -> list[tuple[int, int, Quarantined]]:
        """(partition, offset, entry) of at most `limit` entries, partition by partition."""
        return [
            (partition, stored.offset, entry)
            for partition, stored, entry in islice(self.waiting(log), limit)
        ]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
