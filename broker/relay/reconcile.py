"""Shares recomputed from their collected topic and compared, key by key.

Law: exactly-once is never trusted alone. What is compared is what the relay says it has
committed, judged by the year it committed; keys that move meanwhile are compared again.
What was not compared is said, never called equal. A difference names positions, never
values. Of all shares that are compared together a collected record is opened once; what is
kept is the keys of one partition.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from broker.errors import ProjectionError, RegistryError, RoutingError, SealError
from broker.log.interface import Log, Stored
from broker.log.reading import keys, last_offsets, records
from broker.log.topics import share_positions
from broker.model import Dataset
from broker.relay.plan import Plan
from broker.relay.position import Judged, judged
from broker.seal import Sealer
from broker.sharing.share import CLOSED, CLOSING, JOINED, LIVE, Share

MISSING, SUPERFLUOUS, DIFFERING = "missing", "superfluous", "differing"

_ROUNDS = 5

Held = dict[bytes, tuple[int, bytes]]
"""Share key → offset and digest of the value."""


class Verdict(StrEnum):
    """What came of comparing a share."""

    EXACT = "exact"
    DIFFERS = "differs"
    NO_TOPIC = "no topic"
    NOT_SETTLED = "not settled"
    NOT_COMPARED = "not compared"
    OPENING = "opening"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Difference:
    """`offset` is the collected record's, or of what is superfluous the shared one's."""

    kind: str
    partition: int
    offset: int


@dataclass(slots=True)
class Comparison:
    """A share compared: its state, whether it has a topic, records compared, differences,
    partitions that are still catching up, and keys that moved in every round."""

    share: str
    dataset: str
    state: str
    topic: bool = True
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    opening: int = 0
    moving: int = 0

    @property
    def verdict(self) -> Verdict:
        """A live share is exact only where all of it was compared."""
        if self.state in (CLOSING, CLOSED):
            return Verdict.CLOSED
        if self.differences:
            return Verdict.DIFFERS
        if self.moving:
            return Verdict.NOT_SETTLED
        if self.state != LIVE:
            return Verdict.OPENING if self.opening else Verdict.EXACT
        if not self.topic:
            return Verdict.NO_TOPIC
        return Verdict.NOT_COMPARED if self.opening else Verdict.EXACT

    @property
    def exact(self) -> bool:
        """Whether nothing speaks against it: it is equal, or nobody can read it yet or any
        more."""
        return self.verdict in (Verdict.EXACT, Verdict.OPENING, Verdict.CLOSED)


class Reconciler:
    """Compares shares with their collected topics. `plan` compiles a plan for shares."""

    def __init__(
        self, log: Log, sealer: Sealer, plan: Callable[[Dataset, Sequence[Share]], Plan]
    ) -> None:
        self._log = log
        self._sealer = sealer
        self._plan = plan

    def compare(self, dataset: Dataset, shares: Sequence[Share]) -> list[Comparison]:
        """Compare each of a dataset's shares in every partition in which it has caught up."""
        topics = self._log.topics()
        found = {
            one.id: Comparison(one.id, dataset.id, one.state, one.topic in topics) for one in shares
        }
        there = [
            one for one in shares if one.topic in topics and one.state not in (CLOSING, CLOSED)
        ]
        plan = self._plan(dataset, there)
        for partition in range(dataset.partitions):
            joined = [
                one
                for one in there
                if self._log.position(f"{share_positions(one.id)}{partition}") == JOINED
            ]
            compared = self._partition(dataset, joined, plan, partition, found)
            for one in shares:
                found[one.id].opening += one.id not in compared
        return list(found.values())

    def _partition(
        self,
        dataset: Dataset,
        shares: Sequence[Share],
        plan: Plan,
        partition: int,
        found: Mapping[str, Comparison],
    ) -> set[str]:
        """Compare a partition of these shares; those that could be."""
        compared = {one.id for one in shares}
        pending: dict[str, set[bytes]] = {}
        for _ in range(_ROUNDS):
            before = judged(self._log, dataset.id, partition)
            if before is None or not shares:
                return set()
            wanted = self._wanted(dataset, shares, plan, partition, before)
            for share in shares:
                mine = wanted.pop(share.id)
                held = self._held(share, partition)
                moved = self._moved(dataset, share, plan, partition, before)
                earlier = pending.get(share.id)
                if earlier is None:
                    found[share.id].compared += sum(key not in moved for key in mine)
                left = moved if earlier is None else moved & earlier
                found[share.id].differences += _compare(partition, mine, held, moved, earlier)
                pending[share.id] = left
            shares = [share for share in shares if pending[share.id]]
            if not shares:
                return compared
        for share in shares:
            found[share.id].moving += len(pending[share.id])
        return compared

    def _wanted(
        self, dataset: Dataset, shares: Sequence[Share], plan: Plan, partition: int, at: Judged
    ) -> dict[str, Held]:
        """By share, what it must hold; the offsets are the collected records'."""
        topic, end = dataset.collected_topic, at.common.offset
        last = last_offsets(self._log, topic, partition, 0, end)
        wanted: dict[str, Held] = {share.id: {} for share in shares}
        for record in records(self._log, topic, partition, 0, end):
            if record.value is None or last.get(record.key) != record.offset:
                continue
            values = self._values(dataset, plan, record, at.year_of(record.offset))
            for name in values.keys() & wanted.keys():
                key = plan.key(name, record.key)
                wanted[name][key] = record.offset, _digest(values[name])
        return wanted

    def _values(self, dataset: Dataset, plan: Plan, record: Stored, year: int) -> dict[str, bytes]:
        """What the shares hold of a record; none where it belongs to nobody, or is quarantined."""
        try:
            opened = self._sealer.open(dataset.collected_topic, record.key, record.value or b"")
            values, _ = plan.project(opened.schema_id, opened.body, year)
        except (SealError, ProjectionError, RegistryError, RoutingError):
            return {}
        return values

    def _held(self, share: Share, partition: int) -> Held:
        """What the share does hold."""
        held: Held = {}
        end = self._log.end(share.topic, partition)
        for record in records(self._log, share.topic, partition, 0, end):
            if record.value is None:
                held.pop(record.key, None)
            else:
                held[record.key] = record.offset, _digest(record.value)
        return held

    def _moved(
        self, dataset: Dataset, share: Share, plan: Plan, partition: int, before: Judged
    ) -> set[bytes]:
        """The share keys of what the relay has worked on meanwhile."""
        after = judged(self._log, dataset.id, partition)
        if after is None or after == before:
            return set()
        start, end = before.common.offset, after.common.offset
        if (before.passing, before.common.year) != (after.passing, after.common.year):
            start = 0  # a yearly pass is under way: anything may have moved
        worked_on = keys(self._log, dataset.collected_topic, partition, start, end)
        return {plan.key(share.id, key) for _, key in worked_on}


def _compare(
    partition: int, wanted: Held, held: Held, moved: set[bytes], pending: set[bytes] | None
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
