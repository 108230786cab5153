"""Operational facts as named events: each is one JSON log line and one Prometheus metric.

Law: an event carries counts, ids and codes, never a value of a record; labels are
datasets, sources and reason codes, all bounded by the catalogue and the mappings.
"""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any, ClassVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from broker.errors import SettingsError
from broker.private_file import open_private
from broker.unmoved import Identity, identity


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. `METRIC` is the metric's name; `LABELS` the fields that label it;
    `AMOUNT` the field that is counted (empty: one); `HELP` what an operator reads."""

    METRIC: ClassVar[str]
    HELP: ClassVar[str]
    LABELS: ClassVar[tuple[str, ...]] = ()
    AMOUNT: ClassVar[str] = ""
    GAUGE: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class RecordsCollected(Event):
    """A batch of a source has landed in its collected topic."""

    METRIC: ClassVar[str] = "shuqiao_collected_records"
    HELP: ClassVar[str] = "records appended to collected topics"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset", "source")
    AMOUNT: ClassVar[str] = "appended"
    dataset: str
    source: str
    rows: int
    appended: int
    deleted: int
    unchanged: int
    outdated: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class RowQuarantined(Event):
    """Rows of a source were set aside; nothing is lost."""

    METRIC: ClassVar[str] = "shuqiao_quarantined_rows"
    HELP: ClassVar[str] = "source rows set aside, by reason"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset", "source", "reason")
    AMOUNT: ClassVar[str] = "rows"
    dataset: str
    source: str
    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class SourceStopped(Event):
    """A source's run ended with an error; its position stands where it was."""

    METRIC: ClassVar[str] = "shuqiao_source_stops"
    HELP: ClassVar[str] = "runs of a source that ended with an error"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset", "source")
    dataset: str
    source: str


@dataclass(frozen=True, slots=True)
class RowsReplayed(Event):
    """Rows in quarantine were tried again."""

    METRIC: ClassVar[str] = "shuqiao_replayed_rows"
    HELP: ClassVar[str] = "rows that were collected from quarantine"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset", "source")
    AMOUNT: ClassVar[str] = "collected"
    dataset: str
    source: str
    collected: int
    overtaken: int
    wrong: int


@dataclass(frozen=True, slots=True)
class BatchRelayed(Event):
    """The relay has committed a batch."""

    METRIC: ClassVar[str] = "shuqiao_relayed_records"
    HELP: ClassVar[str] = "collected records relayed"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset",)
    AMOUNT: ClassVar[str] = "read"
    dataset: str
    read: int
    written: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class ProjectionChosen(Event):
    """Relaying begins: records are projected `by` the kernel, or by the reference; `why` it is not
    the kernel. Who runs by the reference relays many times slower: `shuqiao doctor`."""

    METRIC: ClassVar[str] = "shuqiao_projection"
    HELP: ClassVar[str] = "1 for what projects records here: kernel or reference"
    LABELS: ClassVar[tuple[str, ...]] = ("by",)
    GAUGE: ClassVar[bool] = True
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class RelayQuarantined(Event):
    """A collected record could not be relayed: gone from the shares that held it."""

    METRIC: ClassVar[str] = "shuqiao_relay_quarantined_records"
    HELP: ClassVar[str] = "collected records the relay set aside, by reason"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset", "reason")
    AMOUNT: ClassVar[str] = "records"
    dataset: str
    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class GrantDecided(Event):
    """A grant was given and decided; `share` is empty where none opened."""

    METRIC: ClassVar[str] = "shuqiao_grants_decided"
    HELP: ClassVar[str] = "grants decided"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset",)
    dataset: str
    grant: str
    share: str
    policy_version: str


@dataclass(frozen=True, slots=True)
class SharesOpen(Event):
    """How many shares a dataset has."""

    METRIC: ClassVar[str] = "shuqiao_open_shares"
    HELP: ClassVar[str] = "shares that are written by the relay"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset",)
    AMOUNT: ClassVar[str] = "shares"
    GAUGE: ClassVar[bool] = True
    dataset: str
    shares: int


@dataclass(frozen=True, slots=True)
class ShareLive(Event):
    """A share has caught up: its consumers may read it."""

    METRIC: ClassVar[str] = "shuqiao_shares_live"
    HELP: ClassVar[str] = "shares that have caught up"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset",)
    dataset: str
    share: str


@dataclass(frozen=True, slots=True)
class ShareClosed(Event):
    """A share is closed: its topic is wiped, its record key destroyed."""

    METRIC: ClassVar[str] = "shuqiao_shares_closed"
    HELP: ClassVar[str] = "shares that were closed"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset",)
    dataset: str
    share: str


@dataclass(frozen=True, slots=True)
class RoleStarted(Event):
    """A role of this process has begun."""

    METRIC: ClassVar[str] = "shuqiao_role_starts"
    HELP: ClassVar[str] = "roles that have begun"
    LABELS: ClassVar[tuple[str, ...]] = ("role",)
    role: str


@dataclass(frozen=True, slots=True)
class RoleFailed(Event):
    """A role, or its work on one dataset, ended with an error; it is tried again, unless its
    files were replaced."""

    METRIC: ClassVar[str] = "shuqiao_role_failures"
    HELP: ClassVar[str] = "runs of a role that ended with an error"
    LABELS: ClassVar[tuple[str, ...]] = ("role",)
    role: str
    error: str


@dataclass(frozen=True, slots=True)
class StoreAway(Event):
    """The controller cannot use the store; `closed` topics had ended and were deleted."""

    METRIC: ClassVar[str] = "shuqiao_store_absences"
    HELP: ClassVar[str] = "looks of the controller at a store that was away"
    closed: int


@dataclass(frozen=True, slots=True)
class PolicyAway(Event):
    """The controller can decide nothing, for the policy in force cannot be loaded (`error`: what
    sort of error); what has ended is closed all the same."""

    METRIC: ClassVar[str] = "shuqiao_policy_absences"
    HELP: ClassVar[str] = "looks of the controller at a policy that could not be loaded"
    error: str


@dataclass(frozen=True, slots=True)
class LogCompacted(Event):
    """The controller has compacted the log: superseded versions and old tombstones went."""

    METRIC: ClassVar[str] = "shuqiao_compacted_records"
    HELP: ClassVar[str] = "records removed by compaction"
    AMOUNT: ClassVar[str] = "removed"
    removed: int


@dataclass(frozen=True, slots=True)
class RecordsPulled(Event):
    """Records have left over HTTP."""

    METRIC: ClassVar[str] = "shuqiao_pulled_records"
    HELP: ClassVar[str] = "records that left over HTTP"
    LABELS: ClassVar[tuple[str, ...]] = ("dataset", "kind")
    AMOUNT: ClassVar[str] = "records"
    dataset: str
    share: str
    consumer: str
    kind: str
    records: int


@dataclass(frozen=True, slots=True)
class AccessDenied(Event):
    """Somebody called without a valid key."""

    METRIC: ClassVar[str] = "shuqiao_access_denied"
    HELP: ClassVar[str] = "requests without a valid key"
    LABELS: ClassVar[tuple[str, ...]] = ("reason",)
    reason: str


@dataclass(frozen=True, slots=True)
class RequestFailed(Event):
    """A request, or a look at the rights of open streams, ended with an error nobody foresaw;
    `error` is its kind."""

    METRIC: ClassVar[str] = "shuqiao_failed_requests"
    HELP: ClassVar[str] = "requests that ended with an unforeseen error"
    error: str


@dataclass(frozen=True, slots=True)
class LineEnded(Event):
    """An answer was cut: its right has ended or cannot be asked, its client took nothing, or it
    was broken off here."""

    METRIC: ClassVar[str] = "shuqiao_ended_lines"
    HELP: ClassVar[str] = "open streams that were ended"
    LABELS: ClassVar[tuple[str, ...]] = ("reason",)
    reason: str
    share: str
    consumer: str


@dataclass(frozen=True, slots=True)
class StrayRight(Event):
    """Somebody may do something on the cluster to what is ours, and nobody granted it; `taken`
    where it was taken away at once. Who: `shuqiao topics check`."""

    METRIC: ClassVar[str] = "shuqiao_stray_rights"
    HELP: ClassVar[str] = "rights on the cluster that nobody granted"
    LABELS: ClassVar[tuple[str, ...]] = ("kind", "does")
    does: str
    kind: str
    name: str
    taken: bool


@dataclass(frozen=True, slots=True)
class RightUnconfirmed(Event):
    """A right was taken away, and so many live brokers have not confirmed it yet."""

    METRIC: ClassVar[str] = "shuqiao_unconfirmed_rights"
    HELP: ClassVar[str] = "looks at which a broker did not confirm that a right is gone"
    brokers: int


EVENTS: tuple[type[Event], ...] = (
    RecordsCollected,
    RowQuarantined,
    SourceStopped,
    RowsReplayed,
    ProjectionChosen,
    BatchRelayed,
    RelayQuarantined,
    GrantDecided,
    SharesOpen,
    ShareLive,
    ShareClosed,
    RoleStarted,
    RoleFailed,
    StoreAway,
    PolicyAway,
    LogCompacted,
    RecordsPulled,
    AccessDenied,
    RequestFailed,
    LineEnded,
    StrayRight,
    RightUnconfirmed,
)
"""Every event there is."""


class Telemetry:
    """Emits events to a JSON log file and to the metrics of its own registry. Where the file was
    put away (rotated), another is begun."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._identity: Identity | None = None
        self._logger: Any = None
        self.registry = CollectorRegistry()
        self._metrics: dict[type[Event], Counter | Gauge] = {
            event: (Gauge if event.GAUGE else Counter)(
                event.METRIC, event.HELP, event.LABELS, registry=self.registry
            )
            for event in EVENTS
        }

    def emit(self, event: Event) -> None:
        """One log line and one step of one metric."""
        if self._logger is None or self._moved():
            self._open()
        content = asdict(event)
        self._logger.info(type(event).__name__, **content)
        labels = {name: content[name] for name in event.LABELS}
        amount = content[event.AMOUNT] if event.AMOUNT else 1
        metric = self._metrics[type(event)]
        if labels:
            metric = metric.labels(**labels)
        if isinstance(metric, Gauge):
            metric.set(amount)
        else:
            metric.inc(amount)

    def metrics(self) -> bytes:
        """The metrics in Prometheus' text form."""
        return generate_latest(self.registry)

    def close(self) -> None:
        """Close the log file; safe to call twice."""
        if self._file is not None:
            self._file.close()
        self._file = self._logger = None

    def _moved(self) -> bool:
        """Whether the file was put away, and there is still a folder for another."""
        return identity(self._path) != self._identity and self._path.parent.is_dir()

    def _open(self) -> None:
        handle = open_private(
            self._path, os.O_WRONLY | os.O_APPEND, SettingsError, "the file of the events"
        )
        self._identity = identity(self._path)
        self._file = os.fdopen(handle, "a", encoding="utf-8", buffering=1)
        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )


def event_fields(event: type[Event]) -> tuple[str, ...]:
    """The fields of an event, as the documentation lists them."""
    return tuple(field.name for field in fields(event))
