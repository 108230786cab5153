"""Collected topics → shared topics, dataset by dataset.

Law: what is written follows the shares as they stand when a batch is made; where another
relay was there first, or a share has closed meanwhile, nothing of the batch lands and it
is made anew. Plans are compiled once per set of shares.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence

from broker.divisions import Divisions
from broker.errors import KeyringError, PositionMoved, UnknownTopic
from broker.keyring import Keyring
from broker.log.interface import Log
from broker.log.topics import share_positions
from broker.model import Dataset
from broker.registry import Registry
from broker.relay.membership import Room
from broker.relay.pace import Paces
from broker.relay.partition import Partition, Tools
from broker.relay.plan import Plan
from broker.relay.position import judged
from broker.relay.progress import Progress
from broker.relay.slices import Slices
from broker.seal import Sealer
from broker.sharing.share import JOINED, Share
from broker.telemetry import BatchRelayed, Event, RelayQuarantined

Shares = Callable[[], Sequence[Share]]
Advance = Callable[[Progress], None]

_PLANS = 4
"""Of a dataset: those of the shares that have joined and of those that open, now and before."""

_PAUSE = 0.1
"""Seconds between two looks at what another worker does."""


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
        batch_size: int = 10_000,
    ) -> None:
        self._log = log
        self._divisions = divisions
        self._keyring = keyring
        self._registry = registry
        self._emit = emit
        self._slices = Slices()
        self._tools = Tools(
            log, sealer, year, self.plan, self._told, batch_size, Room(), self._slices
        )
        self._paces: dict[tuple[str, int], Paces] = defaultdict(lambda: Paces(batch_size))
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._plans: dict[str, OrderedDict[frozenset[str], Plan]] = defaultdict(OrderedDict)

    def run_once(
        self, dataset: Dataset, shares: Shares, advance: Advance = lambda batch: None
    ) -> Progress:
        """Bring every share up to the end of the collected topic as it is now.

        `shares` gives the dataset's shares as they stand; it is asked before every batch.
        `advance` is told of every step that has landed.
        """
        total = Progress()
        there = dataset.collected_topic in self._log.topics()
        waiting = list(range(dataset.partitions)) if there else []
        while waiting:
            for partition in waiting:
                while (done := self.step(dataset, partition, shares)).worked:
                    total.add(done)
                    advance(done)
            waiting = [one for one in waiting if not self._is_done(dataset, one, shares)]
            if waiting:
                time.sleep(_PAUSE)  # another worker has them, or they will be ours
        return total

    def _is_done(self, dataset: Dataset, partition: int, shares: Shares) -> bool:
        """Whether a partition is up to date, whoever has it."""
        topic = dataset.collected_topic
        if self._log.owns(topic, partition):
            return True
        place = judged(self._log, dataset.id, partition)
        if place is None or place.passing:
            return False
        if self._log.read(topic, partition, place.common.offset, 1):
            return False
        topics = self._log.topics()
        there = [one.id for one in shares() if one.topic in topics]
        places = [f"{share_positions(name)}{partition}" for name in there]
        return all(self._log.position(one) == JOINED for one in places)

    def step(self, dataset: Dataset, partition: int, shares: Shares) -> Progress:
        """One step of a partition: see `Partition.step`."""
        if not self._log.there([dataset.collected_topic]):
            return Progress()
        self._log.check(dataset.collected_topic, dataset.partitions)
        place = dataset.id, partition
        known: set[str] | None = None
        while self._log.owns(dataset.collected_topic, partition):
            # a share without a topic is not provisioned yet, or closed just now; one that was
            # read before it was published has one only as the log stands now
            published = [share for share in shares() if share.published]
            there = self._log.there(share.topic for share in published)
            mine = [share for share in published if share.topic in there]
            gone = [share for share in published if share.topic not in there]
            lost = [share.topic for share in gone if self._has_begun(share, partition)]
            # kept only while what it remembers is what was committed: no error survives in it
            worker = self._partitions.pop(place, None)
            worker = worker or Partition(self._tools, dataset, partition, self._paces[place])
            try:
                if lost:  # passed over, it would lack what the common pass writes now
                    raise UnknownTopic(f"the topic {lost[0]} is not shown")
                done = worker.step(mine)
            except PositionMoved:
                continue  # another relay was there first: start from what it committed
            except (UnknownTopic, KeyringError):
                # a share of ours has closed meanwhile; if none has, the error is real
                if known == {share.id for share in mine}:
                    raise
                known = {share.id for share in mine}
            else:
                self._partitions[place] = worker
                return done
            finally:
                if place not in self._partitions:
                    worker.forget()
        return Progress()

    def _has_begun(self, share: Share, partition: int) -> bool:
        """Whether anything of the partition may stand in it."""
        return self._log.position(f"{share_positions(share.id)}{partition}") is not None

    def begin_round(self, owned: Iterable[tuple[str, int]]) -> None:
        """All partitions will be stepped once. `owned`: which are ours, as dataset and number; of
        others nothing is remembered."""
        self._slices.begin()
        mine = set(owned)
        for dataset, partition in [one for one in self._partitions if one not in mine]:
            self._partitions.pop((dataset, partition)).forget()

    def plan(self, dataset: Dataset, shares: Sequence[Share]) -> Plan:
        """The compiled plan for some shares."""
        plans, name = self._plans[dataset.id], frozenset(share.id for share in shares)
        if name not in plans:
            plans[name] = self._compiled(dataset, shares)
            if len(plans) > _PLANS:
                plans.popitem(last=False)
        plans.move_to_end(name)
        return plans[name]

    def reference_plan(self, dataset: Dataset, shares: Sequence[Share]) -> Plan:
        """The plan without the kernel: what the shares are compared with."""
        return self._compiled(dataset, shares, reference=True)

    def _compiled(
        self, dataset: Dataset, shares: Sequence[Share], *, reference: bool = False
    ) -> Plan:
        return Plan(
            dataset,
            shares,
            divisions=self._divisions,
            keyring=self._keyring,
            registry=self._registry,
            reference=reference,
        )

    def _told(self, dataset: Dataset, progress: Progress) -> None:
        self._emit(
            BatchRelayed(
                dataset=dataset.id,
                read=progress.read,
                written=progress.written,
                tombstones=progress.tombstones,
            )
        )
        for reason, records in sorted(progress.reasons.items()):
            self._emit(RelayQuarantined(dataset=dataset.id, reason=reason, records=records))
