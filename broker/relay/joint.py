"""Small batches of several partitions, landed by one commit.

Law: they land together or not at all; where they do not, each is to be made anew by itself, so that
what is wrong with one holds up no other. Who has a large batch waits for nobody.
"""

import time

from broker.log.interface import Batch, Log
from broker.relay.partition import WRITTEN, Made, Partition
from broker.relay.progress import Progress


class Joint:
    """What waits to be landed: by the number of its partition who made it, and what."""

    def __init__(self, log: Log, records: int) -> None:
        """A commit has hardly more than so many records."""
        self._log = log
        self._most = records
        self.waiting: dict[int, tuple[Partition, Made]] = {}

    def fits(self, made: Made) -> bool:
        """Whether it may go along with what waits."""
        waiting = sum(one.bytes for _, one in self.waiting.values())
        return not self.waiting or waiting + made.bytes <= WRITTEN

    def is_full(self) -> bool:
        """Whether what waits is worth a commit of its own."""
        return sum(one.landing.progress.read for _, one in self.waiting.values()) >= self._most

    def land(self) -> dict[int, tuple[Partition, Progress]]:
        """Commit what waits; by partition whose it was, and what it did. What cannot be landed
        goes on waiting."""
        if not self.waiting:
            return {}
        started, batch = time.monotonic(), Batch()
        for _, made in self.waiting.values():
            batch.add(made.landing.batch)
        self._log.commit(batch)
        took = time.monotonic() - started
        landed = {
            number: (worker, worker.landed(made, took))
            for number, (worker, made) in self.waiting.items()
        }
        self.waiting = {}
        return landed

    def forget(self) -> None:
        """Nothing of what waits will be landed: give back its memory."""
        for worker, _ in self.waiting.values():
            worker.forget()
        self.waiting = {}
