"""Replay: rows that were set aside are collected again, once what was wrong is mended.

Law: a row is taken only where its key is as it was when the row was set aside, or, where it
has an id, where no other version of that row was read since; else a later version stands, and
the entry has nothing more to say. Where another source has the key and deleted it since, the
entry waits until its own source is read again. What is still wrong stays in quarantine.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from broker.errors import PositionMoved, SealError
from broker.log.interface import Append, Batch, Log, Stored
from broker.model import Dataset
from broker.pseudonym import keyed_hash
from broker.quarantine import Quarantine, Quarantined, WayBack
from broker.seal import Sealer
from broker.telemetry import Event, RowsReplayed
from connectors.cells import unpack
from connectors.collect import Collector
from connectors.mapping import Mapping as SourceMapping
from connectors.ownership import Owned, Ownership, RowKey
from connectors.runner import Turn
from connectors.source import Row

_TRIES = 5
_PLACE = re.compile(r"(?P<topic>[^/]+)/(?P<partition>[0-9]+)@(?P<offset>[0-9]+)( → .+)?")


@dataclass(slots=True)
class Replayed:
    """What became of a source's entries. `overtaken`: a later version stands; `lost`: nothing
    to collect from is kept, a corrected file helps."""

    source: str
    collected: int = 0
    overtaken: int = 0
    wrong: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """How the rows of one source are collected; `collector` makes one for a try."""

    mapping: SourceMapping
    collector: Callable[[], Collector]


class Replay:
    """Replays the quarantine of one dataset. `secret` is the key of row hashes."""

    def __init__(
        self,
        dataset: Dataset,
        ways: Mapping[str, Way],
        *,
        log: Log,
        sealer: Sealer,
        secret: bytes,
        emit: Callable[[Event], None],
    ) -> None:
        self._dataset = dataset
        self._ways = ways
        self._log = log
        self._sealer = sealer
        self._secret = secret
        self._emit = emit
        self._ownership = Ownership(dataset, log)
        self._quarantine = Quarantine(dataset, sealer)

    def run(self, reason: str = "") -> list[Replayed]:
        """Replay every entry (of one reason); one report a source."""
        entries: dict[str, list[tuple[Stored, Quarantined]]] = defaultdict(list)
        for _, stored, entry in self._quarantine.waiting(self._log):
            if reason in ("", entry.reason):
                entries[entry.source].append((stored, entry))
        reports = []
        for source, some in sorted(entries.items()):
            report = self._replay(source, some)
            self._emit(
                RowsReplayed(
                    dataset=self._dataset.id,
                    source=source,
                    collected=report.collected,
                    overtaken=report.overtaken,
                    wrong=report.wrong + report.lost,
                )
            )
            reports.append(report)
        return reports

    def _replay(self, source: str, some: list[tuple[Stored, Quarantined]]) -> Replayed:
        """Once more where a runner has appended meanwhile."""
        for _ in range(_TRIES - 1):
            with suppress(PositionMoved):
                return self._try(source, some)
        return self._try(source, some)

    def _try(self, source: str, some: list[tuple[Stored, Quarantined]]) -> Replayed:
        turn, batch, report = Turn(self._dataset.id, self._log), Batch(), Replayed(source)
        way = self._ways.get(source)
        if way is not None:
            self._rows(way, some, batch, report)
        elif source == "relay":
            self._records(some, batch, report)
        else:
            report.lost += len(some)
        if batch.writes():
            turn.commit(batch)
        return report

    def _rows(
        self,
        way: Way,
        some: list[tuple[Stored, Quarantined]],
        batch: Batch,
        report: Replayed,
    ) -> None:
        """Rows of a source."""
        owners = self._ownership.of(entry.back.key for _, entry in some if entry.back.key)
        collector = way.collector()
        found: dict[int, tuple[Row, Stored, Quarantined]] = {}
        for stored, entry in some:
            back = entry.back
            if not back.cells:
                report.lost += 1
                continue
            owned = owners.get(back.key)
            if owned and owned.hash is None and owned.source != entry.source:
                report.wrong += 1
                continue
            cells, mapping = unpack(back.cells), way.mapping
            if not cells.keys() >= set(mapping.expected):
                report.lost += 1  # the mapping has other columns now
                continue
            deleted, row_id = mapping.is_deleted(cells), mapping.id_of(cells)
            place = back.place.decode()
            row = Row(place, cells, entry.raw, deleted, id=row_id, origin=back.origin)
            known = collector.row_key(row_id) if row_id else None
            if self._is_past(back, owned, known) or collector.was_deleted(row):
                report.overtaken += 1
                self._quarantine.take_out(stored.key, entry, batch)
                continue
            found[id(row)] = row, stored, entry
        # in one batch, whatever they came with, so that of two versions the later stands
        done = collector.collect([row for row, _, _ in found.values()])
        batch.add(done.batch)
        report.overtaken += done.overtaken
        report.collected -= done.overtaken
        for number, (_, stored, entry) in found.items():
            if done.marks.get(number) == entry.back.mark:
                report.wrong += 1
                continue
            # taken, or wrong in another way, as which it has just been set aside
            report.wrong += number in done.marks
            report.collected += number not in done.marks
            self._quarantine.take_out(stored.key, entry, batch)

    @staticmethod
    def _is_past(back: WayBack, owned: Owned | None, row: RowKey | None) -> bool:
        """Whether something came after: of the row, where it has an id; else of its key."""
        if row is not None:
            return not row.is_version(back.mark)
        seen = Owned.unpack(back.seen) if back.seen else None
        return bool(back.key) and not (owned.is_like(seen) if owned else seen is None)

    def _records(
        self, some: list[tuple[Stored, Quarantined]], batch: Batch, report: Replayed
    ) -> None:
        """Collected records that the relay could not share: appended again as they are."""
        again: set[bytes] = set()
        for stored, entry in some:
            record = self._record(entry.where)
            if record is None or record.value is None:
                report.overtaken += 1
            else:
                topic = self._dataset.collected_topic
                try:
                    opened = self._sealer.open(topic, record.key, record.value)
                except SealError:
                    report.wrong += 1
                    continue
                now = self._ownership.of([record.key]).get(record.key)
                if now is None or now.hash != keyed_hash(self._secret, opened.body):
                    report.overtaken += 1
                else:
                    report.collected += 1
                    if record.key not in again:
                        again.add(record.key)
                        part = self._ownership.partition(record.key)
                        batch.appends.append(Append(topic, part, record.key, record.value))
            self._quarantine.take_out(stored.key, entry, batch)

    def _record(self, where: str) -> Stored | None:
        """The collected record at that place; None where compaction took it away."""
        place = _PLACE.fullmatch(where)
        if place is None:
            return None
        offset = int(place["offset"])
        found = self._log.read(place["topic"], int(place["partition"]), offset, 1)
        return found[0] if found and found[0].offset == offset else None
