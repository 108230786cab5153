"""Collected topics → shared topics, dataset by dataset.

Law: what is written follows the shares as they stand when a batch is made; where another
relay was there first, or a share has closed meanwhile, nothing of the batch lands and it
is made anew. Plans are compiled once per set of shares.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from broker.divisions import Divisions
from broker.errors import KeyringError, LogError, PositionMoved, UnknownTopic
from broker.keyring import Keyring
from broker.log.interface import Log, Page, Place
from broker.log.topics import share_positions
from broker.model import Dataset
from broker.registry import Registry
from broker.relay.joint import Joint
from broker.relay.membership import Room
from broker.relay.pace import Paces
from broker.relay.partition import Made, Partition, Tools
from broker.relay.plan import Plan
from broker.relay.position import judged, ordered_year
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
        total, topic = Progress(), dataset.collected_topic
        waiting = list(range(dataset.partitions)) if topic in self._log.topics() else []
        while waiting:
            left = waiting
            while left:
                ends = {number: self._log.end(topic, number) for number in left}
                year, left = ordered_year(self._log, dataset.id), []
                for number, done in self.round(dataset, ends, year, shares):
                    total.add(done)
                    if done.worked:
                        left.append(number)
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

    def round(
        self, dataset: Dataset, ends: Mapping[int, int], year: int, shares: Shares
    ) -> Iterator[tuple[int, Progress]]:
        """One step of each of these partitions, which end there; the year that was ordered. What is
        the common pass's alone, and small, lands together. Tells of each what was done."""
        joint, apart = Joint(self._log, self._tools.batch_size), list[int]()
        try:
            read = self._ahead(dataset, ends)
            for number, end in ends.items():
                ahead = read.get(number)
                worker, made = self._made(dataset, number, end, year, shares, ahead)
                if worker is None:
                    apart.append(number)
                elif made is None:
                    yield number, Progress()
                else:
                    if not joint.fits(made):
                        yield from self._landed(joint, dataset, apart)
                    joint.waiting[number] = worker, made
                    if joint.is_full():
                        yield from self._landed(joint, dataset, apart)
            yield from self._landed(joint, dataset, apart)
        finally:
            joint.forget()
        for number in apart:
            yield number, self.step(dataset, number, shares)

    def _ahead(self, dataset: Dataset, ends: Mapping[int, int]) -> dict[int, tuple[int, Page]]:
        """What several partitions have to relay, and from where on, read at once where it is
        little; nothing where that cannot be: then each is read by itself."""
        topic, ranges = dataset.collected_topic, dict[Place, tuple[int, int]]()
        for number, end in ends.items():
            worker = self._partitions.get((dataset.id, number))
            begins = worker.begins() if worker else None
            if begins is not None and begins < end:
                ranges[topic, number] = begins, end
        size = sum(end - begins for begins, end in ranges.values())
        if len(ranges) < 2 or size > self._tools.batch_size:
            return {}
        try:
            pages = self._log.pages(ranges)
        except LogError:
            return {}  # it is told by whoever reads there by himself
        return {place[1]: (ranges[place][0], page) for place, page in pages.items()}

    def _made(
        self,
        dataset: Dataset,
        partition: int,
        end: int,
        year: int,
        shares: Shares,
        ahead: tuple[int, Page] | None,
    ) -> tuple[Partition | None, Made | None]:
        """Whose the next batch of the common pass is, and the batch; nobody's where it takes a
        step to see what there is to do."""
        if not self._is_ours(dataset, partition):
            return None, None
        mine, gone = self._published(shares)
        if gone:
            return None, None
        worker, made = self._taken(dataset, partition), None
        try:
            if plain := worker.is_plain(mine, year):
                made = worker.make(mine, end, ahead=ahead)
        except (LogError, KeyringError):
            worker.forget()
            return None, None
        except BaseException:
            worker.forget()
            raise
        if made is None:
            self._partitions[dataset.id, partition] = worker
        return (worker, made) if plain else (None, None)

    def _landed(
        self, joint: Joint, dataset: Dataset, apart: list[int]
    ) -> Iterator[tuple[int, Progress]]:
        """Land what waits; where that cannot be, each partition takes a step of its own."""
        numbers = list(joint.waiting)
        try:
            landed = joint.land()
        except LogError:
            joint.forget()
            apart += numbers
            return
        for number, (worker, done) in landed.items():
            self._partitions[dataset.id, number] = worker
            yield number, done

    def step(self, dataset: Dataset, partition: int, shares: Shares) -> Progress:
        """One step of a partition: see `Partition.step`."""
        known: set[str] | None = None
        while self._is_ours(dataset, partition):
            mine, gone = self._published(shares)
            lost = [share.topic for share in gone if self._has_begun(share, partition)]
            worker = self._taken(dataset, partition)
            kept = False
            try:
                if lost:  # passed over, it would lack what the common pass writes now
                    raise UnknownTopic(f"the topic {lost[0]} is not shown")
                done = worker.step(mine)
                self._partitions[dataset.id, partition] = worker
                kept = True
                return done
            except PositionMoved:
                continue  # another relay was there first: start from what it committed
            except (UnknownTopic, KeyringError):
                # a share of ours has closed meanwhile; if none has, the error is real
                if known == {share.id for share in mine}:
                    raise
                known = {share.id for share in mine}
            finally:
                if not kept:
                    worker.forget()
        return Progress()

    def _is_ours(self, dataset: Dataset, partition: int) -> bool:
        """Whether it is there, as it should be, and for this process."""
        topic = dataset.collected_topic
        if not self._log.there([topic]):
            return False
        self._log.check(topic, dataset.partitions)
        return self._log.owns(topic, partition)

    def _published(self, shares: Shares) -> tuple[list[Share], list[Share]]:
        """The shares that have a topic, and those whose topic is not there: not provisioned yet, or
        closed just now; one that was read before it was published has one only as the log
        stands now."""
        published = [share for share in shares() if share.published]
        there = self._log.there(share.topic for share in published)
        found: tuple[list[Share], list[Share]] = [], []
        for share in published:
            found[share.topic not in there].append(share)
        return found

    def _taken(self, dataset: Dataset, partition: int) -> Partition:
        """Who relays it. Kept only while what it remembers is what was committed: whoever takes it
        puts it back then, so that no error survives in it."""
        place = dataset.id, partition
        worker = self._partitions.pop(place, None)
        return worker or Partition(self._tools, dataset, partition, self._paces[place])

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
