"""Counting commits: one thread follows a topic that every commit writes to.

Law: nobody follows while nobody asks. Where the topic cannot be followed, whoever waits is
woken, looks himself, and hears what is wrong.
"""

import threading
import time

from broker.errors import LogError
from broker.log.kafka.transport import Transport
from broker.log.watch import Changes

_FOLLOWED = 0.5


class Following(Changes):
    """Follows a topic with so many partitions."""

    def __init__(self, transport: Transport, topic: str, partitions: int) -> None:
        super().__init__()
        self._transport = transport
        self._topic = topic
        self._partitions = partitions
        self._thread: threading.Thread | None = None

    def changes(self) -> int:
        """A number that grows."""
        with self._condition:
            self._begin()
            return self._changes

    def wait(self, seen: int, timeout: float) -> int:
        """Return when it is no longer `seen`, or after so many seconds."""
        with self._condition:
            self._begin()
            return self._until_changed(seen, time.monotonic() + timeout)

    def _begin(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._follow, name="log-follow", daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        while not self._closed:
            reader = self._transport.reader()
            try:
                while not self._closed:
                    reader.follow(self._topic, self._partitions, self.changed, _FOLLOWED)
            except LogError:
                self.changed()
                time.sleep(_FOLLOWED)
            finally:
                reader.close()

    def close(self) -> None:
        """Wake everybody; end the thread."""
        super().close()
        if self._thread is not None:
            self._thread.join()
