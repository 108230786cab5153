"""Tables and positions: compacted topics, each with a copy on this machine.

Law: a copy holds what is committed and nothing else, up to an offset that stands beside it in
the same commit; so nothing has to be rolled back, and after a crash it goes on from there.
What is asked for is asked for after everything that was begun before: a copy is first brought
up to the end, behind which no transaction is open. A copy of another cluster, or one that has
missed tombstones, is thrown away and made anew.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from broker.errors import PositionMoved
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Batch, Entries, PositionWrite
from broker.log.kafka.readers import Readers
from broker.log.kafka.refusals import away

_PAGE = 20_000
_OPEN = 30.0
"""Seconds to wait for transactions that are open."""
_PAUSE = 0.005
_STALE_MS = 20 * 24 * 3600 * 1000
"""A copy that is older than this may have missed tombstones."""


class Copies:
    """The copies, in one file. `cluster` names the cluster that they are of."""

    def __init__(self, path: Path, cluster: str, readers: Readers) -> None:
        self._readers = readers
        self._lock = threading.RLock()
        self._local = EmbeddedLog(path)
        now = time.time_ns() // 1_000_000
        known = self._local.position("cluster")
        age = now - int(self._local.position("used") or b"0")
        if known is not None and (known != cluster.encode() or age > _STALE_MS):
            self._local.close()
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._local = EmbeddedLog(path)
        self._note("cluster", cluster.encode())
        self._note("used", str(now).encode())

    def _note(self, name: str, value: bytes) -> None:
        move = PositionWrite(name, self._local.position(name), value)
        with suppress(PositionMoved):  # another process has noted the same
            self._local.commit(Batch(positions=[move]))

    def entries(self, table: str, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that have one."""
        self.bring_up(table, partition)
        return self._local.entries(table, partition, keys)

    def scan(
        self, table: str, partition: int, after: bytes, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        """Entries with key > `after`, in key order."""
        if not after:
            self.bring_up(table, partition)
        return self._local.scan(table, partition, after, limit)

    def starting(self, table: str, partitions: int, prefix: bytes) -> Sequence[tuple[bytes, bytes]]:
        """Entries of all partitions whose key, which is text, starts so, in key order."""
        with self._readers.asking() as reader:
            ends = reader.ends([(table, number) for number in range(partitions)], stable=False)
        for partition, end in enumerate(ends):
            if self._offset(table, partition) < end:
                self.bring_up(table, partition)
        return self._local.starting(table, partitions, prefix)

    def bring_up(self, topic: str, partition: int) -> None:
        """Bring a copy up to what was begun before now."""
        with self._lock, self._readers.one(topic, partition) as reader:
            end = reader.high_end(topic, partition)
            until = time.monotonic() + _OPEN
            while (offset := self._offset(topic, partition)) < end:
                page = reader.read(topic, partition, offset, _PAGE)
                if page.after == offset:
                    if time.monotonic() > until:
                        raise away()
                    time.sleep(_PAUSE)  # a transaction is open
                    continue
                values = dict(zip(page.keys, page.values, strict=True))
                self._take(topic, partition, offset, page.after, values)

    def _take(
        self,
        topic: str,
        partition: int,
        offset: int,
        after: int,
        values: dict[bytes, bytes | None],
    ) -> None:
        name = _mark(topic, partition)
        move = PositionWrite(name, _packed(offset) if offset else None, _packed(after))
        with suppress(PositionMoved):  # another process has taken the same
            entries = [Entries(topic, partition, values)]
            self._local.commit(Batch(entries=entries, positions=[move]))

    def _offset(self, topic: str, partition: int) -> int:
        return int.from_bytes(self._local.position(_mark(topic, partition)) or b"", "big")

    def close(self) -> None:
        """Give back the file."""
        self._local.close()


def _mark(topic: str, partition: int) -> str:
    return f"at.{topic}.{partition}"


def _packed(offset: int) -> bytes:
    return offset.to_bytes(8, "big")
