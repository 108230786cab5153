"""How far each share has come, shown to the log's own tools.

Law: at most once a minute and a few at a time, so that nothing that matters waits for it; and
nothing ever reads it back.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from broker.log.interface import Log
from broker.log.topics import shown_as
from broker.model import Dataset
from broker.relay.lag import Behind, Places
from broker.sharing.share import Share

ROUND = 60.0
"""Seconds between two rounds."""

_AT_ONCE = 10


class Display:
    """Shows them, round after round. Closed shares are removed where they are closed."""

    def __init__(
        self, log: Log, datasets: Sequence[Dataset], shares: Callable[[str], Sequence[Share]]
    ) -> None:
        self._log = log
        self._datasets = datasets
        self._shares = shares
        self._left: Iterator[tuple[str, dict[tuple[str, int], int]]] = iter(())
        self._next = 0.0

    def step(self) -> None:
        """Show a few more of this round, or begin the next where it is time."""
        now = time.monotonic()
        if now >= self._next:
            self._left, self._next = self._round(), now + ROUND
        batch = dict(islice(self._left, _AT_ONCE))
        open_before = self._open() if batch else set()
        if shown := {name: places for name, places in batch.items() if name in open_before}:
            self._log.show(shown)
            if gone := shown.keys() - self._open():  # nobody else would remove them again
                self._log.show({name: {} for name in gone})

    def _open(self) -> set[str]:
        return {shown_as(one.id) for dataset in self._datasets for one in self._shares(dataset.id)}

    def _round(self) -> Iterator[tuple[str, dict[tuple[str, int], int]]]:
        places = Places(self._log)
        for dataset in self._datasets:
            if not self._log.there([dataset.collected_topic]):
                continue
            behind = Behind(self._log, dataset)
            for share in self._shares(dataset.id):
                own = places.share(share.id, dataset)
                yield shown_as(share.id), self._offsets(dataset.collected_topic, behind, own)

    def _offsets(
        self, topic: str, behind: Behind, places: Sequence[int]
    ) -> dict[tuple[str, int], int]:
        """The places as offsets; the end, where nothing but the log's own marks is left."""
        return {
            (topic, number): at if behind.lag(number, at)[0] else max(at, behind.end(number))
            for number, at in enumerate(places)
        }
