"""Runs the sources of one dataset into its collected topic.

Law: records, ownership, quarantine and the source's position land in one commit. A
wrong row never stops a run; a source that cannot go on stops alone, with its position
where it was; a source whose columns differ from its mapping stops the dataset before
anything is read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from broker.errors import PositionMoved, ShuQiaoError, SourceError
from broker.log.interface import Log, PositionWrite
from broker.model import Dataset
from broker.seal import Sealer
from broker.telemetry import Event, RecordsCollected, RowQuarantined, SourceStopped
from connectors.collect import Collector, Counts, Secrets
from connectors.convert import Converter
from connectors.source import Source
from connectors.status import FAILED, IDLE, Status, Statuses

_FUTURE = timedelta(days=1)
"""A row that says it was changed later than this from now is mistyped."""
POSITION_SCHEMA = 0
"""Schema id in a sealed position: its body is the source's own."""


@dataclass(slots=True)
class Report:
    """What a run of one source did; `error` says why it stopped."""

    source: str
    counts: Counts = field(default_factory=Counts)
    error: ShuQiaoError | None = None


@dataclass(frozen=True, slots=True)
class Supply:
    """A source with the converter of its mapping."""

    source: Source
    converter: Converter


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a run reads: see `Runner.run`."""

    limit: int
    progress: Callable[[str, Counts], None]
    again: bool
    stopped: Callable[[], bool]


class Runner:
    """The runner of one dataset; it alone appends to the dataset's collected topic."""

    def __init__(
        self,
        dataset: Dataset,
        supplies: Sequence[Supply],
        *,
        log: Log,
        sealer: Sealer,
        secrets: Secrets,
        schema_id: int,
        emit: Callable[[Event], None],
    ) -> None:
        self._dataset = dataset
        self._supplies = supplies
        self._log = log
        self._sealer = sealer
        self._schema_id = schema_id
        self._emit = emit
        self._secrets = secrets

    def run(
        self,
        limit: int,
        progress: Callable[[str, Counts], None] = lambda source, counts: None,
        again: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> list[Report]:
        """Read every source to its end, `limit` rows a batch; one report a source.

        `again` reads from the beginning: what is known costs nothing, what was mended far
        behind the position is met. Once `stopped` says so, the batch under way is the last.
        """
        names = (self._dataset.collected_topic, self._dataset.quarantine_topic)
        self._log.create_topics(dict.fromkeys(names, self._dataset.partitions))
        wrong = [report for one in self._supplies if (report := self._check(one)) is not None]
        if wrong:
            return wrong
        reading = _Reading(limit, progress, again, stopped)
        return [self._run(one, reading) for one in self._supplies if not stopped()]

    def _check(self, supply: Supply) -> Report | None:
        try:
            supply.source.check()
        except SourceError as error:
            return self._stop(Report(supply.source.name, error=error), error)
        return None

    def _run(self, supply: Supply, reading: "_Reading") -> Report:
        source = supply.source
        report = Report(source.name)
        collector = Collector(
            self._dataset,
            source.name,
            supply.converter,
            log=self._log,
            sealer=self._sealer,
            schema_id=self._schema_id,
            secrets=self._secrets,
            latest=datetime.now(UTC) + _FUTURE,
        )
        name = f"source.{self._dataset.id}.{source.name}"
        committed = self._log.position(name)
        after = self._sealer.open(name, b"", committed).body if committed else None
        try:
            for page in source.batches(None if reading.again else after, reading.limit):
                batch, counts = collector.collect(page.rows)
                if batch.appends or batch.tables or page.position != after:
                    # also where the position stays: it says that nobody else was here
                    sealed = self._sealer.seal(name, b"", POSITION_SCHEMA, page.position)
                    batch.positions.append(PositionWrite(name, committed, sealed))
                    self._log.commit(batch)
                    committed, after = sealed, page.position
                report.counts.add(counts)
                self._tell(source.name, counts)
                reading.progress(source.name, report.counts)
                if reading.stopped():
                    return report
        except PositionMoved:
            error = SourceError(
                "another runner collects this source",
                where=source.name,
                mend="let one run at a time; what it has committed stands",
            )
            return self._stop(report, error)
        except SourceError as error:
            return self._stop(report, error)
        self._note(report, IDLE)
        return report

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
        """Leave the run's outcome where `shuqiao connect status` finds it."""
        statuses = Statuses(self._dataset.id, self._log, self._sealer)
        before = statuses.get(report.source) or Status(state)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        status = Status(
            state=state,
            error=str(report.error or ""),
            last_run=now,
            last_success=now if state == IDLE else before.last_success,
            rows=before.rows + report.counts.rows,
            quarantined=before.quarantined + report.counts.quarantined,
            stale=report.counts.stale,
        )
        statuses.put(report.source, status)
