"""The figures of the demo's screen, read from log and store as they stand.

Law: nothing is counted twice: of a topic only what is new since the last look is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.bootstrap import Broker
from broker.errors import UnknownTopic
from broker.log.reading import records
from broker.model import Dataset
from broker.relay.lag import common_places, share_places, waiting
from broker.sharing.grants import ACTIVE, Stored
from broker.sharing.share import LIVE, OPENING


@dataclass(frozen=True, slots=True)
class Line:
    """A consumer's share: `state` is its share's, or its grant's where that has ended; `lag`
    is how many collected records it has yet to see; `changed` when it changed last (ms)."""

    dataset: str
    consumer: str
    state: str
    records: int
    lag: int
    changed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Collected records by dataset, the relay's lag by dataset, and the shares' lines."""

    collected: dict[str, int]
    lag: dict[str, int]
    lines: Sequence[Line]

    @property
    def behind(self) -> int:
        """The greatest lag."""
        return max([*self.lag.values(), *(line.lag for line in self.lines)], default=0)


class Tally:
    """The live keys of one topic, brought up to date by every look."""

    def __init__(self, topic: str, partitions: int) -> None:
        self._topic = topic
        self._next = [0] * partitions
        self._live: set[bytes] = set()
        self.changed = 0

    def look(self, broker: Broker) -> int:
        """How many keys have a value now."""
        for partition, offset in enumerate(self._next):
            end = broker.log.end(self._topic, partition)
            for record in records(broker.log, self._topic, partition, offset, end):
                if record.value is None:
                    self._live.discard(record.key)
                else:
                    self._live.add(record.key)
                self._next[partition] = record.offset + 1
                self.changed = max(self.changed, record.timestamp)
        return len(self._live)


class Board:
    """Looks at everything that the screen shows."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._tallies: dict[str, Tally] = {}

    def look(self) -> Figures:
        """The figures now."""
        topics = self._broker.log.topics()
        datasets = self._broker.catalog.datasets.values()
        self._tallies = {name: one for name, one in self._tallies.items() if name in topics}
        collected = {one.id: self._count(one.collected_topic) for one in datasets}
        log = self._broker.log
        common = {one.id: common_places(log, one) for one in datasets}
        lag = {one.id: behind(self._broker, one, common[one.id]) for one in datasets}
        shares = {one.id: one for one in self._broker.sharing.shares()}
        lines: list[Line] = []
        for stored in newest(self._broker.sharing.grants()):
            grant = stored.grant
            share = shares.get(stored.share or "")
            if share is None:
                refused = stored.state == ACTIVE and grant.active(self._broker.today)
                state = "REFUSED" if refused else stored.state
                if grant.valid_until >= self._broker.today:
                    lines.append(Line(grant.dataset, grant.consumer.id, state, 0, 0, 0))
                continue
            records = self._count(share.topic)
            tally = self._tallies.get(share.topic)
            places = share_places(log, share.id, common[grant.dataset])
            dataset = self._broker.catalog.dataset(grant.dataset)
            left = behind(self._broker, dataset, places) if places != common[grant.dataset] else 0
            left = left or lag[grant.dataset]
            state = share.state if share.state in (OPENING, LIVE) else stored.state
            changed = tally.changed if tally else 0
            lines.append(Line(grant.dataset, grant.consumer.id, state, records, left, changed))
        return Figures(collected, lag, lines)

    def _count(self, topic: str) -> int:
        known = self._broker.log.topics()
        if topic not in known:
            return 0
        tally = self._tallies.setdefault(topic, Tally(topic, known[topic]))
        try:
            return tally.look(self._broker)
        except UnknownTopic:
            return 0  # closed meanwhile


def behind(broker: Broker, dataset: Dataset, places: Sequence[int]) -> int:
    """How many collected records are waiting from these places on."""
    topic = dataset.collected_topic
    if topic not in broker.log.topics():
        return 0
    return sum(waiting(broker.log, topic, number, at)[0] for number, at in enumerate(places))


def caught_up(broker: Broker) -> bool:
    """Whether every share has seen everything that was collected."""
    common = {one.id: common_places(broker.log, one) for one in broker.catalog.datasets.values()}
    if any(behind(broker, broker.catalog.dataset(name), at) for name, at in common.items()):
        return False
    shares = broker.sharing.shares()
    return all(
        share_places(broker.log, one.id, common[one.dataset]) == common[one.dataset]
        for one in shares
    )


def newest(grants: Sequence[Stored]) -> list[Stored]:
    """Of each consumer and dataset the grant given last, by dataset."""
    last = {(one.grant.consumer.id, one.grant.dataset): one for one in grants}
    return sorted(last.values(), key=lambda one: one.grant.dataset)
