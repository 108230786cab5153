"""Records of a partition → one batch: values, tombstones, quarantine, membership.

Law: a record is opened once. One that cannot be opened, decoded or routed is quarantined
and gets a tombstone in every share that holds its key; where one share's projection
fails, in that share alone. Each share is written sorted by its own key, so that order
tells nothing across shares. Of versions read together only a key's last counts.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.errors import ProjectionError, RegistryError, RoutingError, SealError
from broker.log.interface import Append, Batch, Stored
from broker.model import Dataset
from broker.quarantine import Quarantine, Quarantined
from broker.relay.membership import NOBODY, Membership, Shares
from broker.relay.plan import Plan
from broker.relay.progress import Progress
from broker.seal import Sealer


@dataclass(frozen=True, slots=True)
class Task:
    """What a pass answers for: its plan, of the shares that hold a key those it may change
    (`mine`; the others are carried over), the year ages are judged by, and whether values
    that a share holds already are written again."""

    plan: Plan
    mine: Shares | None
    others: Shares
    year: int
    again: bool = True

    def places(self, held: Shares) -> Shares:
        """The shares among the holders that this pass answers for."""
        return held - self.others if self.mine is None else held & self.mine


@dataclass(slots=True)
class Landing:
    """The batch being made, the sets of shares it interns, and what it did."""

    batch: Batch = field(default_factory=Batch)
    interned: dict[bytes, Shares] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)


class Lander:
    """Makes the batches of one partition."""

    def __init__(
        self, dataset: Dataset, partition: int, sealer: Sealer, membership: Membership
    ) -> None:
        self._dataset = dataset
        self._partition = partition
        self._sealer = sealer
        self._membership = membership
        self._quarantine = Quarantine(dataset, sealer)

    def land(self, records: Sequence[Stored], task: Task) -> Landing:
        """The batch for these records, without positions."""
        landing = Landing(progress=Progress(read=len(records), commits=1))
        outputs: dict[str, list[tuple[bytes, bytes | None]]] = defaultdict(list)
        last = {record.key: record for record in records}
        before = self._membership.held(last)
        after: dict[bytes, Shares] = {}
        for key, record in last.items():
            held = before.get(key, NOBODY)
            mine = task.places(held)
            values = self._values(record, task, landing)
            after[key] = (held - mine) | frozenset(values)
            self._emit(key, values, mine, task, outputs, landing.progress)
        for share in sorted(outputs):
            topic = task.plan.shares[share].topic
            for share_key, value in sorted(outputs[share], key=lambda pair: pair[0]):
                landing.batch.appends.append(Append(topic, self._partition, share_key, value))
        writes, landing.interned = self._membership.changes(before, after)
        landing.batch.tables.extend(writes)
        return landing

    def _emit(
        self,
        key: bytes,
        values: dict[str, bytes],
        mine: Shares,
        task: Task,
        outputs: dict[str, list[tuple[bytes, bytes | None]]],
        progress: Progress,
    ) -> None:
        """A record's values, and tombstones where it is no longer."""
        plan = task.plan
        for share, value in values.items():
            if task.again or share not in mine:
                outputs[share].append((plan.key(share, key), value))
                progress.written += 1
        for share in mine - values.keys():
            # A share that is no longer in the plan is closed: its topic is gone.
            if share in plan.shares:
                outputs[share].append((plan.key(share, key), None))
                progress.tombstones += 1

    def _values(self, record: Stored, task: Task, landing: Landing) -> dict[str, bytes]:
        """The record's framed value by share; nothing for a tombstone or a bad record."""
        if record.value is None:
            return {}
        plan = task.plan
        try:
            opened = self._sealer.open(self._dataset.collected_topic, record.key, record.value)
            values, failures = plan.project(opened.schema_id, opened.body, task.year)
        except SealError as error:
            self._set_aside(record, "cannot_be_opened", error.mend, landing)
            return {}
        except (ProjectionError, RegistryError) as error:
            self._set_aside(record, "cannot_be_decoded", error.mend, landing)
            return {}
        except RoutingError as error:
            self._set_aside(record, "cannot_be_routed", error.mend, landing)
            return {}
        for share, failure in failures:
            self._set_aside(record, "cannot_be_projected", failure.mend, landing, f" → {share}")
        return values

    def _set_aside(
        self, record: Stored, reason: str, mend: str, landing: Landing, share: str = ""
    ) -> None:
        where = f"{self._dataset.collected_topic}/{self._partition}@{record.offset}{share}"
        entry = Quarantined(reason, "relay", where, mend, record.value or b"")
        key = hashlib.sha256(f"{reason} {where}".encode()).digest()[:16]
        landing.batch.appends.append(self._quarantine.append(entry, key))
        landing.progress.quarantined += 1
        landing.progress.reasons[reason] += 1
