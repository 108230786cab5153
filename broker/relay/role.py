"""The relay as a role: follows the log and the sharing state until it is stopped.

Law: where neither the log nor the sharing state has changed, nothing is done, and where they
have, only the partitions that have grown are looked at. Of several relays one works on a
dataset; the others stand by and take over when it is gone.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import date

from broker.hold import Hold
from broker.log.interface import Log
from broker.model import Dataset
from broker.relay.chosen import tell_projection
from broker.relay.upto import Upto
from broker.relay.worker import Relay
from broker.sharing.share import Share
from broker.telemetry import Event

IDLE = 0.5
"""Seconds after which the sharing state and the holds are looked at again."""

GROWING = 0.02
"""The same for a partition that somebody is writing to just now."""


class RelayRole:
    """Relays every dataset it holds. `shares` gives a dataset's shares as they stand, or
    all of them, `revision` what must change before they do."""

    name = "relay"

    def __init__(
        self,
        relay: Relay,
        log: Log,
        datasets: Sequence[Dataset],
        shares: Callable[[str], Sequence[Share]],
        revision: Callable[[], tuple[int, date]],
        hold: Callable[[str], Hold] | None,
        emit: Callable[[Event], None],
    ) -> None:
        """`hold` gives the hold of a name; None where the log itself gives out the work."""
        self._relay = relay
        self._log = log
        self._datasets = datasets
        self._shares = shares
        self._revision = revision
        self._emit = emit
        self._holds = {one.id: hold(f"relay.{one.id}") for one in datasets} if hold else {}

    def run(self, stop: threading.Event) -> None:
        """See `Role`."""
        tell_projection(self._emit)
        done: tuple[object, ...] = ()
        upto = Upto(self._log)
        while not stop.is_set():
            mine = [one for one in self._datasets if self._is_ours(one)]
            changes = self._log.changes()
            state = (changes, self._revision(), self._owned(mine))
            if state == done:
                self._log.wait(changes, IDLE)
                continue
            self._relay.begin_round(
                (one.id, number)
                for one in mine
                for topic, number in state[2]
                if topic == one.collected_topic
            )
            upto.look(state[1], state[2], self._topics(mine))
            if any([self._step(one, upto, stop) for one in mine]):
                continue
            if not upto.settled:
                self._log.wait(changes, GROWING if upto.growing else IDLE)
                continue
            done = state

    def close(self) -> None:
        """See `Role`."""
        for hold in self._holds.values():
            hold.release()

    def _is_ours(self, dataset: Dataset) -> bool:
        return not self._holds or self._holds[dataset.id].taken()

    def _topics(self, mine: Sequence[Dataset]) -> set[str]:
        """The topics of those datasets' shares; the sharing state is asked once for all."""
        datasets = {one.id for one in mine}
        return {one.topic for one in self._shares("") if one.dataset in datasets}

    def _owned(self, mine: Sequence[Dataset]) -> list[tuple[str, int]]:
        """The partitions that are this process's, of those datasets."""
        return [
            (one.collected_topic, number)
            for one in mine
            for number in range(one.partitions)
            if self._log.owns(one.collected_topic, number)
        ]

    def _step(self, dataset: Dataset, upto: Upto, stop: threading.Event) -> bool:
        """One step of every partition that may have work; whether anything was done."""
        worked, topic = False, dataset.collected_topic
        ends, year = upto.waiting(topic), upto.year(dataset.id)
        for partition, done in self._relay.round(
            dataset, ends, year, lambda: self._shares(dataset.id)
        ):
            if done.worked:
                worked = True
            else:
                upto.done(topic, partition)
            if stop.is_set():
                break
        return worked
