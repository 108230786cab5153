"""Collected topic → shared topics, one partition at a time.

Law: a record is opened once; outputs, membership and position land in one commit
or not at all. A record that cannot be opened, decoded or routed is quarantined and
gets a tombstone in every share that holds its key; where one share's projection
fails, in that share alone. Each share is written sorted by its own key, so that
order tells nothing across shares. A share added later first catches up by a pass of
its own, up to where the common pass stands.
"""

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from broker.divisions import Divisions
from broker.errors import ProjectionError, RoutingError, SealError
from broker.keyring import Keyring
from broker.log.interface import Append, Batch, Log, PositionWrite, Stored
from broker.model import Dataset
from broker.quarantine import Quarantine, Quarantined
from broker.registry import Registry
from broker.relay.membership import NOBODY, Membership, Shares
from broker.relay.plan import Plan
from broker.seal import Sealer
from broker.sharing.share import Share
from broker.telemetry import BatchRelayed, Event, RelayQuarantined

_POSITION = struct.Struct(">QH")
"""Committed position of a partition: next offset to read, and the year ages are judged by."""

JOINED = b"joined"
"""Position of a share that has caught up and is written by the common pass."""


@dataclass(slots=True)
class Progress:
    """What a run did. `released` counts records and tombstones by share."""

    read: int = 0
    written: int = 0
    tombstones: int = 0
    quarantined: int = 0
    commits: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Progress") -> None:
        """Add another run's counts."""
        self.read += other.read
        self.written += other.written
        self.tombstones += other.tombstones
        self.quarantined += other.quarantined
        self.commits += other.commits
        self.reasons.update(other.reasons)


@dataclass(slots=True)
class _Work:
    """The batch being made."""

    batch: Batch
    outputs: dict[str, list[tuple[bytes, bytes | None]]]
    progress: Progress


class Relay:
    """Relays the datasets' partitions into their shares.

    `year` gives the current year in the city's time zone; it is only asked for a
    partition that has no committed year yet. `emit` is told of each commit.
    """

    def __init__(
        self,
        log: Log,
        sealer: Sealer,
        *,
        divisions: Divisions,
        keyring: Keyring,
        registry: Registry,
        year: Callable[[], int],
        emit: Callable[[Event], None],
        batch_size: int = 5000,
    ) -> None:
        self._log = log
        self._sealer = sealer
        self._divisions = divisions
        self._keyring = keyring
        self._registry = registry
        self._year = year
        self._emit = emit
        self._batch_size = batch_size

    def run_once(
        self,
        dataset: Dataset,
        shares: Sequence[Share],
        advance: Callable[[Progress], None] = lambda batch: None,
    ) -> Progress:
        """Bring every share up to the end of the collected topic as it is now.

        `advance` is told of every batch that has landed.
        """
        total = Progress()
        topics = self._log.topics()
        if dataset.collected_topic not in topics:
            return total
        for share in shares:
            self._log.create_topic(share.topic, dataset.partitions)
        for partition in range(dataset.partitions):
            worker = _Partition(self, dataset, partition, advance)
            worker.catch_up(shares, total)
            worker.follow(shares, total)
        return total

    def plan(self, dataset: Dataset, shares: Iterable[Share]) -> Plan:
        """The compiled plan for some shares."""
        return Plan(
            dataset,
            shares,
            divisions=self._divisions,
            keyring=self._keyring,
            registry=self._registry,
        )


class _Partition:
    """One partition of one dataset, from its committed position on."""

    def __init__(
        self,
        relay: Relay,
        dataset: Dataset,
        partition: int,
        advance: Callable[[Progress], None],
    ) -> None:
        self._relay = relay
        self._advance = advance
        self._log = relay._log
        self._dataset = dataset
        self._partition = partition
        self._name = f"relay.{dataset.id}.{partition}"
        self._membership = Membership(self._log, dataset.id, partition)
        self._quarantine = Quarantine(dataset, relay._sealer)
        self._committed = self._log.position(self._name)
        if self._committed is None:
            self._offset, self._year = 0, relay._year()
        else:
            self._offset, self._year = _POSITION.unpack(self._committed)

    def follow(self, shares: Sequence[Share], total: Progress) -> None:
        """The common pass: from the committed position to the end seen now."""
        plan = self._relay.plan(self._dataset, shares)
        end = self._log.end(self._dataset.collected_topic, self._partition)
        while self._offset < end:
            records = self._read(self._offset, end)
            if not records:
                return
            upto = records[-1].offset + 1
            position = _POSITION.pack(upto, self._year)
            move = PositionWrite(self._name, self._committed, position)
            self._land(records, plan, NOBODY, [move], total)
            self._offset, self._committed = upto, position

    def catch_up(self, shares: Sequence[Share], total: Progress) -> None:
        """Bring shares that have not joined up to the common position, in one pass."""
        late: dict[str, Share] = {}
        start = self._offset
        for share in shares:
            position = self._log.position(self._share_position(share.id))
            if position != JOINED:
                late[share.id] = share
                start = min(start, int.from_bytes(position, "big") if position else 0)
        if not late:
            return
        expected = {name: self._log.position(self._share_position(name)) for name in late}
        plan = self._relay.plan(self._dataset, late.values())
        while True:
            records = self._read(start, self._offset) if start < self._offset else ()
            upto = records[-1].offset + 1 if records else self._offset
            value = JOINED if upto >= self._offset else upto.to_bytes(8, "big")
            moves = [
                PositionWrite(self._share_position(name), expected[name], value) for name in late
            ]
            if self._committed is not None:  # another relay must not move on in between
                moves.append(PositionWrite(self._name, self._committed, self._committed))
            self._land(records, plan, frozenset(late), moves, total)
            if value == JOINED:
                return
            expected = dict.fromkeys(late, value)
            start = upto

    def _share_position(self, share: str) -> str:
        return f"share.{share}.{self._partition}"

    def _read(self, offset: int, end: int) -> Sequence[Stored]:
        limit = min(self._relay._batch_size, end - offset)
        found = self._log.read(self._dataset.collected_topic, self._partition, offset, limit)
        return [record for record in found if record.offset < end]

    def _land(
        self,
        records: Sequence[Stored],
        plan: Plan,
        only: Shares,
        moves: list[PositionWrite],
        total: Progress,
    ) -> None:
        """Write one batch. With `only`, the places of all other shares are carried over."""
        last = {record.key: record for record in records}
        before = self._membership.held(last)
        after: dict[bytes, Shares] = {}
        work = _Work(Batch(), defaultdict(list), Progress(read=len(records), commits=1))
        for key, record in last.items():
            held = before.get(key, NOBODY)
            mine = (held & only) if only else held
            gained = self._record(record, plan, mine, work)
            after[key] = (held - mine) | gained
        for share in sorted(work.outputs):
            topic = plan.shares[share].topic
            for share_key, value in sorted(work.outputs[share], key=lambda pair: pair[0]):
                work.batch.appends.append(Append(topic, self._partition, share_key, value))
        writes, interned = self._membership.changes(before, after)
        work.batch.tables.extend(writes)
        work.batch.positions.extend(moves)
        self._log.commit(work.batch)
        self._membership.committed(interned)
        total.add(work.progress)
        self._tell(work.progress)
        self._advance(work.progress)

    def _record(self, record: Stored, plan: Plan, held: Shares, work: _Work) -> Shares:
        """Write one record's values and tombstones; the shares that hold it afterwards."""
        values: dict[str, bytes] = {}
        if record.value is not None:
            values = self._project(record, record.value, plan, work)
        for share, value in values.items():
            work.outputs[share].append((plan.key(share, record.key), value))
        for share in held - values.keys():
            # A share that is no longer in the plan is closed: its topic is gone.
            if share in plan.shares:
                work.outputs[share].append((plan.key(share, record.key), None))
                work.progress.tombstones += 1
        work.progress.written += len(values)
        return frozenset(values)

    def _project(self, record: Stored, sealed: bytes, plan: Plan, work: _Work) -> dict[str, bytes]:
        try:
            opened = self._relay._sealer.open(self._dataset.collected_topic, record.key, sealed)
            values, failures = plan.project(plan.decode(opened.schema_id, opened.body), self._year)
        except SealError as error:
            self._set_aside(record, "cannot_be_opened", error.mend, work)
            return {}
        except ProjectionError as error:
            self._set_aside(record, "cannot_be_decoded", error.mend, work)
            return {}
        except RoutingError as error:
            self._set_aside(record, "cannot_be_routed", error.mend, work)
            return {}
        for share, failure in failures:
            self._set_aside(record, "cannot_be_projected", failure.mend, work, f" → {share}")
        return values

    def _set_aside(
        self, record: Stored, reason: str, mend: str, work: _Work, share: str = ""
    ) -> None:
        where = f"{self._dataset.collected_topic}/{self._partition}@{record.offset}{share}"
        entry = Quarantined(reason, "relay", where, mend, record.value or b"")
        work.batch.appends.append(self._quarantine.append(entry))
        work.progress.quarantined += 1
        work.progress.reasons[reason] += 1

    def _tell(self, progress: Progress) -> None:
        dataset, emit = self._dataset.id, self._relay._emit
        emit(
            BatchRelayed(
                dataset=dataset,
                read=progress.read,
                written=progress.written,
                tombstones=progress.tombstones,
            )
        )
        for reason, records in sorted(progress.reasons.items()):
            emit(RelayQuarantined(dataset=dataset, reason=reason, records=records))
