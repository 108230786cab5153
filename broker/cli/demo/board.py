"""The figures of the demo's screen, read from log and store as they stand.

Law: nothing is counted twice: of a topic only what is new since the last look is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.bootstrap import Broker
from broker.errors import UnknownTopic
from broker.log.reading import records
from broker.relay.lag import Behind, Places
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
        log, places = self._broker.log, Places(self._broker.log)
        behind = {one.id: Behind(log, one) for one in datasets}
        lag = {one.id: waiting(behind[one.id], places.common(one)) for one in datasets}
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
            dataset = self._broker.catalog.dataset(grant.dataset)
            left = waiting(behind[dataset.id], places.share(share.id, dataset))
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


def waiting(behind: Behind, places: Sequence[int]) -> int:
    """How many collected records are waiting from these places on."""
    return sum(behind.lag(number, at)[0] for number, at in enumerate(places))


def caught_up(broker: Broker) -> bool:
    """Whether every share has seen everything that was collected."""
    places, datasets = Places(broker.log), broker.catalog.datasets
    if any(waiting(Behind(broker.log, one), places.common(one)) for one in datasets.values()):
        return False
    return all(
        places.share(one.id, datasets[one.dataset]) == places.common(datasets[one.dataset])
        for one in broker.sharing.shares()
    )


def newest(grants: Sequence[Stored]) -> list[Stored]:
    """Of each consumer and dataset the grant given last, by dataset."""
    last = {(one.grant.consumer.id, one.grant.dataset): one for one in grants}
    return sorted(last.values(), key=lambda one: one.grant.dataset)
