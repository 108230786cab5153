"""Records of a partition → one batch: values, tombstones, quarantine, membership.

Law: a record is opened once. One that cannot be opened, decoded or routed is quarantined
and gets a tombstone in every share that holds its key; where one share's projection
fails, in that share alone. Each share is written sorted by its own key, so that order
tells nothing across shares. Of versions read together only a key's last counts. What is
plain goes through the kernel in one piece; whatever it leaves is looked at one by one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from broker.errors import ProjectionError, RegistryError, RoutingError, SealError
from broker.log.interface import Batch, Page, Run, Stored
from broker.model import Dataset
from broker.projection.projector import Output
from broker.quarantine import Quarantine, Quarantined
from broker.relay.membership import NOBODY, Membership, Shares
from broker.relay.pages import taken
from broker.relay.plan import Plan
from broker.relay.progress import Progress
from broker.relay.task import Task
from broker.seal import Opened, Sealer


@dataclass(slots=True)
class Landing:
    """The batch being made, who holds which key after it where that changes, what it did."""

    batch: Batch = field(default_factory=Batch)
    moved: dict[bytes, Shares] = field(default_factory=dict)
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

    def land(self, page: Page, plan: Plan, task: Task) -> Landing:
        """The batch for these records, without positions."""
        landing = Landing(progress=Progress(read=len(page.keys), commits=1))
        outputs: list[Output] = [([], []) for _ in plan.order]
        last = _last(page)
        held = self._membership.held(last.keys)
        for number, opened in self._swiftly(last, held, outputs, landing, plan, task):
            record = Stored(last.offsets[number], last.keys[number], last.values[number], 0)
            values = self._values(record, opened, plan, task, landing)
            self._one(record.key, values, held, outputs, landing, plan, task)
        for name, found in zip(plan.order, outputs, strict=True):
            if found[0]:
                landing.batch.runs.append(_sorted(plan.shares[name].topic, self._partition, *found))
        written = sum(len(keys) for keys, _ in outputs) - landing.progress.tombstones
        landing.progress.written += written
        landing.batch.entries.extend(self._membership.changes(landing.moved))
        return landing

    def _swiftly(
        self,
        page: Page,
        held: dict[bytes, Shares],
        outputs: list[Output],
        landing: Landing,
        plan: Plan,
        task: Task,
    ) -> Iterator[tuple[int, Opened | None]]:
        """Land what is plain; what is left: tombstones, and whatever is wrong; opened, where that
        could be done."""
        topic = self._dataset.collected_topic
        opened, left = self._sealer.open_all(topic, page.keys, page.values)
        for schema_id, (numbers, bodies) in opened.items():
            keys = [page.keys[number] for number in numbers]
            try:
                rest, gone = plan.land(schema_id, keys, bodies, task, held, outputs, landing.moved)
            except RegistryError:  # said of each record
                rest, gone = range(len(keys)), 0
            landing.progress.tombstones += gone
            for one in rest:
                yield numbers[one], Opened(schema_id, bodies[one])
        for number in left:
            yield number, None

    def _one(
        self,
        key: bytes,
        values: dict[str, bytes],
        held: dict[bytes, Shares],
        outputs: list[Output],
        landing: Landing,
        plan: Plan,
        task: Task,
    ) -> None:
        """Land one record, whose values these are, by share."""
        before = held.get(key, NOBODY)
        change = task.change(((share, place) for place, share in enumerate(values)), before)
        found = list(values.values())
        results: list[tuple[int, bytes | None]] = [
            *((number, found[place]) for number, place in change.writes),
            *((number, None) for number in change.gone),
        ]
        for number, value in results:
            outputs[number][0].append(plan.key(plan.order[number], key))
            outputs[number][1].append(value)
        landing.progress.tombstones += len(change.gone)
        if change.after != before:
            landing.moved[key] = change.after

    def _values(
        self, record: Stored, opened: Opened | None, plan: Plan, task: Task, landing: Landing
    ) -> dict[str, bytes]:
        """The record's framed value by share; nothing for a tombstone or a bad record."""
        if record.value is None:
            return {}
        try:
            if opened is None:
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


def _last(page: Page) -> Page:
    """Of each key the last record."""
    last = dict(zip(page.keys, range(len(page.keys)), strict=True))
    if len(last) == len(page.keys):
        return page
    return taken(page, sorted(last.values()))


def _sorted(
    topic: str, partition: int, keys: Sequence[bytes], values: Sequence[bytes | None]
) -> Run:
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Run(topic, partition, [keys[n] for n in order], [values[n] for n in order])
