"""The controller: what must happen in time, without anybody asking.

Law: it takes rights away and never gives one that `settle` does not. Of several one works
(a lease); its absence releases nothing more, for relay and readers check validity
themselves. It keeps a copy of the end dates, so that what has ended is closed also while
the store is away; what has ended is closed also while the policy cannot be loaded.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date

from broker.errors import CatalogError, PolicyError, StoreError, UnknownTopic
from broker.log.interface import Log
from broker.relay.display import Display
from broker.relay.position import judged
from broker.relay.yearly import order_year
from broker.sharing.emergency import Emergency
from broker.sharing.ends import Ends
from broker.sharing.life import Life
from broker.sharing.service import Sharing
from broker.store.lease import Lease
from broker.telemetry import Event, LogCompacted, PolicyAway, SharesOpen, StoreAway

BEAT = 0.4
"""Seconds between two looks."""

FIRST_COMPACTION, COMPACTION = 60.0, 3600.0
"""Seconds from the start to the first compaction, and between two: what was superseded is
gone within the 36 hours that are promised."""

TOMBSTONES_MS = 30 * 24 * 3600 * 1000
"""How long a tombstone stays: a consumer that was away for longer must reload."""


class Controller:
    """The role. `today` gives the city's day; `ends` is its copy of the end dates."""

    name = "controller"

    def __init__(
        self,
        sharing: Sharing,
        life: Life,
        lease: Lease,
        log: Log,
        datasets: Sequence[str],
        *,
        today: Callable[[], date],
        ends: Ends,
        emergency: Emergency,
        display: Display,
        emit: Callable[[Event], None],
    ) -> None:
        self._sharing = sharing
        self._life = life
        self._lease = lease
        self._log = log
        self._datasets = datasets
        self._today = today
        self._ends = ends
        self._emergency = emergency
        self._display = display
        self._emit = emit
        self._compacted: dict[tuple[str, int], int] = {}

    def run(self, stop: threading.Event) -> None:
        """See `Role`."""
        done: tuple[int, date] | None = None
        compact_at = time.monotonic() + FIRST_COMPACTION
        while not stop.is_set():
            try:
                if self._lease.held():
                    done = self.look(done)
                    self._display.step()
                    if time.monotonic() >= compact_at:
                        self.compact(stop)
                        compact_at = time.monotonic() + COMPACTION
            except StoreError:
                closed = self._emergency.end_overdue(self._today())
                self._emit(StoreAway(closed=len(closed)))
                raise
            stop.wait(BEAT)

    def close(self) -> None:
        """See `Role`."""
        self._lease.give_up()

    def look(self, done: tuple[int, date] | None = None) -> tuple[int, date]:
        """Do what is to be done now. `done` is what the last look returned, the state it
        began with: where nothing has changed since, only the shares under way are moved on."""
        self._emergency.carry_out(self._sharing)
        today, now = self._today(), self._sharing.revision()
        if now != done:
            for name in self._datasets:
                order_year(self._log, name, today.year)
            try:
                self._settle()
            except (PolicyError, CatalogError) as error:
                self._emit(PolicyAway(error=type(error).__name__))
                self._sharing.take_away()
        self._life.advance(fresh=False)
        return now

    def _settle(self) -> None:
        self._sharing.settle()
        for name in self._datasets:
            self._emit(SharesOpen(dataset=name, shares=len(self._sharing.shares(name))))
        self._ends.keep(self._sharing.audiences())

    def compact(self, stop: threading.Event | None = None) -> int:
        """Keep only the last version of every key, in every topic that has grown since the
        last time; how many records went. The collected topics only as far as relayed."""
        before = time.time_ns() // 1_000_000 - TOMBSTONES_MS
        removed = 0
        topics = self._log.topics()
        for topic, partitions in topics.items():
            for partition in range(partitions):
                if stop is not None and stop.is_set():
                    return removed
                try:
                    removed += self._compact(topic, partition, before)
                except UnknownTopic:
                    break  # closed meanwhile
        self._log.wiped()
        places = [(topic, number) for topic, count in topics.items() for number in range(count)]
        ends = self._log.ends(places)
        with suppress(UnknownTopic):  # one was closed meanwhile: the next round does it
            self._log.end_quiet({place: end.offset for place, end in ends.items()})
        self._emit(LogCompacted(removed=removed))
        return removed

    def _compact(self, topic: str, partition: int, before: int) -> int:
        end = self._log.end(topic, partition)
        upto = None
        kind, _, dataset = topic.partition(".")
        if kind == "collected":
            place = judged(self._log, dataset, partition)
            upto = place.common.offset if place and not place.passing else 0
            end = min(end, upto)
        if self._compacted.get((topic, partition)) == end:
            return 0
        removed = self._log.compact(topic, partition, upto, before)
        self._compacted[topic, partition] = end
        return removed
