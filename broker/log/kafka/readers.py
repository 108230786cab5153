"""Readers, as many as there are threads that read at once.

Law: a reader has one user at a time; who reads on where he was gets the reader that is there.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from broker.log.interface import Place
from broker.log.kafka.transport import Reader

_KEPT = 8
"""Readers that are kept when nobody uses them."""


class Readers:
    """A pool. `make` makes one."""

    def __init__(self, make: Callable[[], Reader]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._free: list[tuple[Place, Reader]] = []
        self._closed = False

    @contextmanager
    def one(self, topic: str, partition: int) -> Iterator[Reader]:
        """A reader, if there is one the last that read there; after an error it is not used
        again."""
        place = topic, partition
        reader = self._taken(place) or self._make()
        try:
            yield reader
        except BaseException:
            reader.close()
            raise
        with self._lock:
            self._free.append((place, reader))
            spare = self._free[:-_KEPT] if not self._closed else self._free[:]
            del self._free[: len(spare)]
        for _, old in spare:
            old.close()

    def asking(self) -> AbstractContextManager[Reader]:
        """A reader that reads nothing: it is asked for ends."""
        return self.one("", 0)

    def _taken(self, place: Place) -> Reader | None:
        with self._lock:
            if not self._free:
                return None
            nth = next((n for n, (last, _) in enumerate(self._free) if last == place), 0)
            return self._free.pop(nth)[1]

    def close(self) -> None:
        """Give back every connection."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for _, reader in free:
            reader.close()
