"""A share recomputed from its collected topic and compared, key by key.

Law: exactly-once is never trusted alone. What is compared is what the relay says it has
committed, judged by the year it committed; keys that move meanwhile are compared again.
A difference names positions, never values.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from broker.errors import ProjectionError, RegistryError, RoutingError, SealError
from broker.log.interface import Log, Stored
from broker.log.topics import share_positions
from broker.model import Dataset
from broker.relay.plan import Plan
from broker.relay.position import Judged, judged
from broker.seal import Sealer
from broker.sharing.share import JOINED, Share

MISSING, SUPERFLUOUS, DIFFERING = "missing", "superfluous", "differing"

_PAGE = 5_000
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """`offset` is the collected record's, or of what is superfluous the shared one's."""

    kind: str
    partition: int
    offset: int


@dataclass(slots=True)
class Comparison:
    """What came of comparing a share: records compared, differences, partitions that are
    still catching up, and keys that moved in every round."""

    share: str
    dataset: str
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    opening: int = 0
    moving: int = 0

    @property
    def exact(self) -> bool:
        """Whether no difference was found."""
        return not self.differences


class Reconciler:
    """Compares shares with their collected topics. `plan` compiles a plan for shares."""

    def __init__(
        self, log: Log, sealer: Sealer, plan: Callable[[Dataset, Sequence[Share]], Plan]
    ) -> None:
        self._log = log
        self._sealer = sealer
        self._plan = plan

    def compare(self, dataset: Dataset, share: Share) -> Comparison:
        """Compare every partition in which the share has caught up."""
        found = Comparison(share.id, dataset.id)
        plan = self._plan(dataset, [share])
        for partition in range(dataset.partitions):
            place = self._log.position(f"{share_positions(share.id)}{partition}")
            if place == JOINED:
                self._partition(dataset, share, plan, partition, found)
            else:
                found.opening += 1
        return found

    def _partition(
        self, dataset: Dataset, share: Share, plan: Plan, partition: int, found: Comparison
    ) -> None:
        pending: set[bytes] | None = None
        for _ in range(_ROUNDS):
            before = judged(self._log, dataset.id, partition)
            if before is None:
                return
            wanted = self._wanted(dataset, share, plan, partition, before)
            held = self._held(share, partition)
            after = judged(self._log, dataset.id, partition)
            moved = self._moved(dataset, share, plan, partition, before, after)
            differences = list(_compare(partition, wanted, held, moved, pending))
            found.compared += sum(key not in moved for key in wanted) if pending is None else 0
            found.differences += differences
            if not moved:
                return
            pending = moved if pending is None else moved & pending
            if not pending:
                return
        found.moving += len(pending or ())

    def _wanted(
        self, dataset: Dataset, share: Share, plan: Plan, partition: int, at: Judged
    ) -> dict[bytes, tuple[int, bytes]]:
        """Share key → collected offset and digest of what the share must hold."""
        end = at.common.offset
        last: dict[bytes, int] = {}
        for offset, key in self._keys(dataset, partition, end):
            last[key] = offset
        wanted: dict[bytes, tuple[int, bytes]] = {}
        for record in self._records(dataset.collected_topic, partition, end):
            if record.value is None or last.get(record.key) != record.offset:
                continue
            value = self._value(dataset, share, plan, record, at.year_of(record.offset))
            if value is not None:
                wanted[plan.key(share.id, record.key)] = record.offset, _digest(value)
        return wanted

    def _value(
        self, dataset: Dataset, share: Share, plan: Plan, record: Stored, year: int
    ) -> bytes | None:
        """What the share holds of a record; None where it does not belong, or is quarantined."""
        try:
            opened = self._sealer.open(dataset.collected_topic, record.key, record.value or b"")
            values, _ = plan.project(plan.decode(opened.schema_id, opened.body), year)
        except (SealError, ProjectionError, RegistryError, RoutingError):
            return None
        return values.get(share.id)

    def _held(self, share: Share, partition: int) -> dict[bytes, tuple[int, bytes]]:
        """Share key → offset and digest of what the share does hold."""
        held: dict[bytes, tuple[int, bytes]] = {}
        for record in self._records(share.topic, partition, self._log.end(share.topic, partition)):
            if record.value is None:
                held.pop(record.key, None)
            else:
                held[record.key] = record.offset, _digest(record.value)
        return held

    def _moved(
        self,
        dataset: Dataset,
        share: Share,
        plan: Plan,
        partition: int,
        before: Judged,
        after: Judged | None,
    ) -> set[bytes]:
        """The share keys of what the relay has worked on meanwhile."""
        if after is None or after == before:
            return set()
        start, end = before.common.offset, after.common.offset
        if (before.passing, before.common.year) != (after.passing, after.common.year):
            start = 0  # a yearly pass is under way: anything may have moved
        keys = {key for _, key in self._keys(dataset, partition, end, start)}
        return {plan.key(share.id, key) for key in keys}

    def _keys(
        self, dataset: Dataset, partition: int, end: int, start: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        while start < end:
            page = self._log.keys(dataset.collected_topic, partition, start, _PAGE)
            if not page:
                return
            yield from ((offset, key) for offset, key in page if offset < end)
            start = page[-1][0] + 1

    def _records(self, topic: str, partition: int, end: int) -> Iterator[Stored]:
        start = 0
        while start < end:
            page = self._log.read(topic, partition, start, _PAGE)
            if not page:
                return
            yield from (record for record in page if record.offset < end)
            start = page[-1].offset + 1


def _compare(
    partition: int,
    wanted: dict[bytes, tuple[int, bytes]],
    held: dict[bytes, tuple[int, bytes]],
    moved: set[bytes],
    pending: set[bytes] | None,
) -> Iterator[Difference]:
    for key in wanted.keys() | held.keys():
        if key in moved or (pending is not None and key not in pending):
            continue
        if key not in held:
            yield Difference(MISSING, partition, wanted[key][0])
        elif key not in wanted:
            yield Difference(SUPERFLUOUS, partition, held[key][0])
        elif wanted[key][1] != held[key][1]:
            yield Difference(DIFFERING, partition, wanted[key][0])


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()
