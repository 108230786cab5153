"""Collected topic → shared topics, one partition at a time.

Law: a record is opened once; outputs, membership and position land in one commit
or not at all. A record that cannot be opened, decoded or routed is quarantined and
gets a tombstone in every share that holds its key; where one share's projection
fails, in that share alone. Each share is written sorted by its own key, so that
order tells nothing across shares. Of versions that are read together only a key's last
counts. A share added later first catches up by a pass of its own, up to where the common
pass stands, with the last version of each key alone.
"""

import hashlib
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from broker.divisions import Divisions
from broker.errors import PositionMoved, ProjectionError, RegistryError, RoutingError, SealError
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

_POSITION = struct.Struct(">QHQ")
"""Committed position of a partition: next offset to read, the year ages are judged by, and
how many commits there were: so no commit lands that was made on what another has changed."""

_KEYS_A_READ = 50_000

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
        shares: Callable[[], Sequence[Share]],
        advance: Callable[[Progress], None] = lambda batch: None,
    ) -> Progress:
        """Bring every share up to the end of the collected topic as it is now.

        `shares` gives the dataset's shares as they stand; it is asked again where another
        relay was there first. `advance` is told of every batch that has landed.
        """
        total = Progress()
        if dataset.collected_topic not in self._log.topics():
            return total
        for share in shares():
            self._log.create_topic(share.topic, dataset.partitions)
        for partition in range(dataset.partitions):
            while not self._partition(dataset, partition, shares, advance, total):
                continue  # another relay was there first: start from what it committed
        return total

    def _partition(
        self,
        dataset: Dataset,
        partition: int,
        shares: Callable[[], Sequence[Share]],
        advance: Callable[[Progress], None],
        total: Progress,
    ) -> bool:
        """Relay one partition; false where another relay committed in between."""
        # what is committed is read before the shares: a share that joins in between has
        # changed it, and the commit is refused
        worker = _Partition(self, dataset, partition, advance)
        try:
            worker.run(shares(), total)
        except PositionMoved:
            return False
        return True

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
        self._late: dict[str, bytes | None] = {}
        if self._committed is None:
            self._offset, self._year, self._turn = 0, relay._year(), 0
        else:
            self._offset, self._year, self._turn = _POSITION.unpack(self._committed)

    def run(self, shares: Sequence[Share], total: Progress) -> None:
        """The common pass for the shares that have joined, then the others catch up."""
        places = {share.id: self._log.position(self._share_position(share.id)) for share in shares}
        joined = [share for share in shares if places[share.id] == JOINED]
        late = [share for share in shares if places[share.id] != JOINED]
        self._late = {share.id: places[share.id] for share in late}
        if joined or not late:
            self._follow(joined, total)
        if late:
            self._catch_up(late, not joined, total)

    def _follow(self, shares: Sequence[Share], total: Progress) -> None:
        """From the committed position to the end seen now."""
        plan = self._relay.plan(self._dataset, shares)
        late = frozenset(self._late)
        end = self._log.end(self._dataset.collected_topic, self._partition)
        while self._offset < end:
            records = self._read(self._offset, end)
            if not records:
                return
            upto = records[-1].offset + 1
            self._land(records, plan, lambda held: held - late, (upto, []), total)

    def _catch_up(self, shares: Sequence[Share], alone: bool, total: Progress) -> None:
        """Bring these shares up to the common position, in one pass.

        Where no share has joined yet there is no common pass to wait for: then this is it.
        """
        late = frozenset(self._late)
        end = self._offset
        if alone:
            end = max(end, self._log.end(self._dataset.collected_topic, self._partition))
        start = min(int.from_bytes(place or b"", "big") for place in self._late.values())
        last = self._last_offsets(start, end)
        plan = self._relay.plan(self._dataset, shares)
        while True:
            records = self._read(start, end) if start < end else ()
            start = records[-1].offset + 1 if records else end
            value = JOINED if start >= end else start.to_bytes(8, "big")
            moves = [
                PositionWrite(self._share_position(name), place, value)
                for name, place in self._late.items()
            ]
            newest = [record for record in records if last[record.key] == record.offset]
            upto = max(start, self._offset)
            self._land(newest, plan, lambda held: held & late, (upto, moves), total)
            if value == JOINED:
                return
            self._late = dict.fromkeys(self._late, value)

    def _last_offsets(self, start: int, end: int) -> dict[bytes, int]:
        """Where each key's last version stands: an earlier one is in no share that opens now."""
        last: dict[bytes, int] = {}
        while start < end:
            limit = min(_KEYS_A_READ, end - start)
            page = self._log.keys(self._dataset.collected_topic, self._partition, start, limit)
            if not page:
                break
            last.update((key, offset) for offset, key in page if offset < end)
            start = page[-1][0] + 1
        return last

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
        places: Callable[[Shares], Shares],
        moves: tuple[int, list[PositionWrite]],
        total: Progress,
    ) -> None:
        """Write one batch. `places` picks, of the shares that hold a key, those that this
        pass answers for; the others are carried over. `moves` are the common offset and
        the other positions that the batch moves."""
        last = {record.key: record for record in records}
        before = self._membership.held(last)
        after: dict[bytes, Shares] = {}
        work = _Work(Batch(), defaultdict(list), Progress(read=len(records), commits=1))
        for key, record in last.items():
            held = before.get(key, NOBODY)
            mine = places(held)
            after[key] = (held - mine) | self._record(record, plan, mine, work)
        for share in sorted(work.outputs):
            topic = plan.shares[share].topic
            for share_key, value in sorted(work.outputs[share], key=lambda pair: pair[0]):
                work.batch.appends.append(Append(topic, self._partition, share_key, value))
        writes, interned = self._membership.changes(before, after)
        work.batch.tables.extend(writes)
        offset, others = moves
        position = _POSITION.pack(offset, self._year, self._turn + 1)
        common = PositionWrite(self._name, self._committed, position)
        work.batch.positions.extend([common, *others])
        self._log.commit(work.batch)
        self._membership.committed(interned)
        self._offset, self._committed, self._turn = offset, position, self._turn + 1
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
        except (ProjectionError, RegistryError) as error:
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
        key = hashlib.sha256(f"{reason} {where}".encode()).digest()[:16]
        work.batch.appends.append(self._quarantine.append(entry, key))
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
