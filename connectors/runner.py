"""Runs the sources of one dataset into its collected topic.

Law: records, ownership, quarantine and the source's position land in one commit, which does
not land where another run has committed since it was read. A wrong row never stops a run; a
source that cannot go on stops alone, with its position where it was; a source whose columns
differ from its mapping stops the dataset before anything is read. A source that was there and
is not is told, never passed over.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from broker.errors import PositionMoved, ShuQiaoError, SourceError
from broker.log.interface import Batch, Log, PositionWrite
from broker.log.topics import runner_position
from broker.model import Dataset
from broker.seal import Sealer
from broker.telemetry import Event, RecordsCollected, RowQuarantined, SourceStopped
from connectors.collect import Collector
from connectors.collected import Collected, Counts, Met
from connectors.comparison import Comparison
from connectors.held import PAUSED, Held, asks
from connectors.ownership import Owned
from connectors.source import RowBatch, Source, Whole
from connectors.status import FAILED, IDLE, RUNNING, Status, Statuses

_NOTE = 2.0
"""Seconds between two notes of a source that is being read."""
_HEARTBEAT = 60.0
"""Seconds between two notes of a source that has nothing new."""
_TRIES = 3
"""How often a source is begun anew because others have committed."""
POSITION_SCHEMA = 0
"""Schema id in a sealed position: its body is the source's own."""


@dataclass(slots=True)
class Report:
    """What a run of one source did; `error` says why it stopped. `noted` is what its status
    says already, `note_after` when it may be noted again (monotonic seconds)."""

    source: str
    counts: Counts = field(default_factory=Counts)
    error: ShuQiaoError | None = None
    paused: bool = False
    noted: Counts = field(default_factory=Counts)
    note_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Supply:
    """A source, and what makes a collector of its rows for a run."""

    source: Source
    collector: Callable[[], Collector]


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a run reads: see `Runner.run`."""

    limit: int
    progress: Callable[[str, Counts], None]
    again: bool
    stopped: Callable[[], bool]
    allow: Collection[str]
    turn: "Turn"


class Runner:
    """The runner of one dataset; it alone appends to the dataset's collected topic."""

    def __init__(
        self,
        dataset: Dataset,
        supplies: Sequence[Supply],
        absent: Sequence[SourceError] = (),
        *,
        log: Log,
        sealer: Sealer,
        emit: Callable[[Event], None],
    ) -> None:
        """`absent`: why there is nothing where a source should be."""
        self._dataset = dataset
        self._supplies = supplies
        self._absent = absent
        self._log = log
        self._sealer = sealer
        self._emit = emit
        self._written: dict[str, float] = {}
        self._unwritten: dict[str, list[int]] = {}
        self._held = Held(dataset.id, log)
        self._statuses = Statuses(dataset.id, log, sealer)

    def run(
        self,
        limit: int,
        progress: Callable[[str, Counts], None] = lambda source, counts: None,
        again: bool = False,
        stopped: Callable[[], bool] = lambda: False,
        allow: Collection[str] = (),
    ) -> list[Report]:
        """Read every source to its end, `limit` rows a batch; one report a source.

        `again` reads from the beginning: what is known costs nothing, what was mended far
        behind the position is met. Once `stopped` says so, the batch under way is the last.
        `allow`: sources of which any number of keys may be deleted.
        """
        names = (self._dataset.collected_topic, self._dataset.quarantine_topic)
        self._log.create_topics(dict.fromkeys(names, self._dataset.partitions))
        for name in names:
            self._log.check(name, self._dataset.partitions)
        lost = self._lost()
        wrong = [report for one in self._supplies if (report := self._check(one)) is not None]
        if wrong:
            return wrong + lost
        turn = Turn(self._dataset.id, self._log)
        reading = _Reading(limit, progress, again, stopped, allow, turn)
        return [self._run(one, reading) for one in self._supplies if not stopped()] + lost

    def _lost(self) -> list[Report]:
        """Sources that are not there, and those that were once and are no more."""
        known = {one.source.name for one in self._supplies}
        absent = [Report(error.where, error=error) for error in self._absent]
        return absent + [
            self._stop(
                Report(name),
                SourceError(
                    "the source has disappeared",
                    where=name,
                    mend="bring its file or mapping back; gone for good? "
                    f"`shuqiao connect forget {self._dataset.id} {name}`",
                ),
            )
            for name in self._statuses.names()
            if name not in known
        ]

    def _check(self, supply: Supply) -> Report | None:
        if self._held.why(supply.source.name):
            return None
        try:
            supply.source.check()
        except SourceError as error:
            return self._stop(Report(supply.source.name, error=error), error)
        return None

    def _run(self, supply: Supply, reading: "_Reading") -> Report:
        source = supply.source
        report = Report(source.name)
        held = self._held.why(source.name)
        if held == PAUSED:
            report.paused = True
            return report
        if held and source.name not in reading.allow:
            missing, owned = held.split()
            return self._stop(report, asks(self._dataset.id, source.name, missing, owned))
        if held:  # what may be deleted now is met by reading everything
            reading = replace(reading, again=True)
        try:
            self._read_on(supply, reading, report)
        except SourceError as error:
            return self._stop(report, error)
        self._note(report, IDLE)
        return report

    def _read_on(self, supply: Supply, reading: "_Reading", report: Report) -> None:
        """Read, and begin anew where a replay or another run has committed in between."""
        for _ in range(_TRIES):
            try:
                return self._read(supply, reading, report)
            except PositionMoved:
                reading.turn.begin()
        raise SourceError(
            "another runner collects this source",
            where=supply.source.name,
            mend="let one run at a time; what it has committed stands",
        )

    def _read(self, supply: Supply, reading: "_Reading", report: Report) -> None:
        """Every batch of a source, each in a commit of its own."""
        source = supply.source
        collector = supply.collector()
        name = position_name(self._dataset, source.name)
        committed, after = committed_position(name, self._log, self._sealer)
        ahead: set[bytes] = set()
        for page in source.batches(after, reading.limit, reading.again):
            done = self._meet(page, collector, ahead, source.name in reading.allow)
            if done is None:
                if reading.stopped():
                    return
                continue
            batch, counts = done.batch, done.counts
            if batch.writes() or page.position != after:
                # also where the position stays: it says that nobody else was here
                sealed = self._sealer.seal(name, b"", POSITION_SCHEMA, page.position)
                batch.positions.append(PositionWrite(name, committed, sealed))
                reading.turn.commit(batch)
                committed, after = sealed, page.position
            report.counts.add(counts)
            self._tell(source.name, counts)
            reading.progress(source.name, report.counts)
            if reading.stopped():
                return
            if counts.news and time.monotonic() >= report.note_after:
                self._note(report, RUNNING)

    def _meet(
        self, page: RowBatch, collector: Collector, ahead: set[bytes], allowed: bool
    ) -> Collected | None:
        """What is to be committed of a page; None where its rows are only looked at. `ahead` are
        the keys that were handed over ahead."""
        whole, origin = page.whole, collector.origin(page.file)
        if whole is not None and whole.ahead:
            ahead |= collector.keys(page.rows)
            if whole.last and not allowed:
                self._missing(ahead, collector, whole)
            return None
        if page.fills and page.rows:
            collector.fill(page.rows, origin)
            return None
        done = collector.filled() if page.fills else collector.collect(page.rows, origin, whole)
        if whole is not None and whole.last:
            ahead.clear()
            self._end_whole(whole, collector, done, allowed)
        return done

    def _end_whole(
        self, whole: Whole, collector: Collector, done: Collected, allowed: bool
    ) -> None:
        """Add what a whole pass has shown to the batch that ends it."""
        source, met = collector.source, collector.met
        if whole.deletes:
            gone = collector.delete(self._missing(met.keys, collector, whole, allowed))
            done.batch.add(gone.batch)
            done.counts.add(gone.counts)
            done.batch.positions += self._held.lifting(source)
        done.batch.add(self._comparison(source).settle(met, collector.origin(whole.file)))
        collector.met = Met()

    def _missing(
        self, met: set[bytes], collector: Collector, whole: Whole, allowed: bool = False
    ) -> list[tuple[bytes, Owned]]:
        """The keys that are gone; a `SourceError` asks where they are too many."""
        source = collector.source
        missing = self._comparison(source).missing(met, collector.origin(whole.file))
        if missing.too_many and not allowed:
            self._held.hold(source, f"{len(missing.keys)} {missing.owned}")
            raise asks(self._dataset.id, source, str(len(missing.keys)), str(missing.owned))
        return missing.keys

    def _comparison(self, source: str) -> Comparison:
        return Comparison(self._dataset, source, self._log, self._sealer)

    def _tell(self, source: str, counts: Counts) -> None:
        dataset = self._dataset.id
        self._emit(
            RecordsCollected(
                dataset=dataset,
                source=source,
                rows=counts.rows,
                appended=counts.appended,
                deleted=counts.deleted,
                unchanged=counts.unchanged,
                outdated=counts.outdated,
                duplicates=counts.duplicates,
            )
        )
        for reason, rows in sorted(counts.reasons.items()):
            self._emit(RowQuarantined(dataset=dataset, source=source, reason=reason, rows=rows))

    def _stop(self, report: Report, error: SourceError) -> Report:
        report.error = error
        self._emit(SourceStopped(dataset=self._dataset.id, source=report.source))
        self._note(report, FAILED)
        return report

    def _note(self, report: Report, state: str) -> None:
        """Leave where a source stands for `shuqiao connect status`.

        Where a run found nothing new it is noted once a minute: every commit wakes others.
        """
        counts, noted = report.counts, report.noted
        unwritten = self._unwritten.setdefault(report.source, [0, 0])
        unwritten[0] += counts.rows - noted.rows
        unwritten[1] += counts.quarantined - noted.quarantined
        before = self._statuses.get(report.source) or Status(state)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        status = Status(
            state=state,
            error=str(report.error or ""),
            last_run=now,
            last_success=now if state == IDLE else before.last_success,
            last_row=now if counts.news > noted.news else before.last_row,
            rows=before.rows + unwritten[0],
            quarantined=before.quarantined + unwritten[1],
            stale=counts.stale,
        )
        report.noted, report.note_after = replace(counts), time.monotonic() + _NOTE
        silent = time.monotonic() - self._written.get(report.source, -_HEARTBEAT)
        if silent >= _HEARTBEAT or status.says_more_than(before):
            self._statuses.put(report.source, status)
            self._written[report.source] = time.monotonic()
            self._unwritten[report.source] = [0, 0]


class Turn:
    """A run's right to append: of two at once, the one that commits first has it. The other's
    commit does not land, whatever it has read; it begins again."""

    def __init__(self, dataset: str, log: Log) -> None:
        self._name = runner_position(dataset)
        self._log = log
        self._mine = os.urandom(8)
        self.begin()

    def begin(self) -> None:
        """Take the turn as it is now; what was read before is not to be committed."""
        self._token = self._log.position(self._name)

    def commit(self, batch: Batch) -> None:
        """Commit; `PositionMoved` where another run has committed since."""
        batch.positions.append(PositionWrite(self._name, self._token, self._mine))
        self._log.commit(batch)
        self._token = self._mine


def position_name(dataset: Dataset, source: str) -> str:
    """The name of a source's position."""
    return f"source.{dataset.id}.{source}"


def committed_position(name: str, log: Log, sealer: Sealer) -> tuple[bytes | None, bytes | None]:
    """A source's position as it is committed, sealed, and opened; None before its first row."""
    committed = log.position(name)
    return committed, sealer.open(name, b"", committed).body if committed else None
