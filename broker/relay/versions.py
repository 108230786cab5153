"""Which records of a partition have a later version further on.

Law: exact. Only keys are read, some at a time. Most keys stand once, and nothing is kept of them
but a bit or two. Of a key that may have been met before, by its bits, the last offset is kept: of
some in memory, of many in a temporary file, so that ten million cost no more memory than one.
"""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from broker.errors import LogError
from broker.log.interface import Log, Page

_BITS_A_KEY = 16
_LEAST, _MOST = 1 << 16, 1 << 26
"""Bits: however far the offsets of a partition have come, eight megabytes are the most."""

KEYS_AT_ONCE = 20_000
"""As many as are read in some hundredths of a second."""

_KEPT = 300_000
"""Keys in memory: some forty megabytes."""

_ASKED = 500
"""Keys that a statement asks for."""


class LastVersions:
    """Of the records from `start` up to `end`: where each key stands last, as far as it stands
    more than once."""

    def __init__(self, log: Log, topic: str, partition: int, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self._log = log
        self._topic = topic
        self._partition = partition
        self._next = start
        self._mask = _power(min(_MOST, max(_LEAST, (end - start) * _BITS_A_KEY))) - 1
        self._once = bytearray((self._mask >> 3) + 1)
        self._again = bytearray((self._mask >> 3) + 1)
        self._last: dict[bytes, int] = {}
        self._before: _Offsets | None = None

    def look(self) -> bool:
        """Read on for a moment; whether all is known."""
        if self._next >= self.end:
            return True
        limit = min(KEYS_AT_ONCE, self.end - self._next)
        found = self._log.keys(self._topic, self._partition, self._next, limit)
        once, again, mask = self._once, self._again, self._mask
        last = self._last
        for offset, key in found:
            if offset >= self.end:
                break
            bit = int.from_bytes(key[:8], "big") & mask
            place, flag = bit >> 3, 1 << (bit & 7)
            if once[place] & flag:
                again[place] |= flag
                last[key] = offset
            else:
                once[place] |= flag
        if len(last) > _KEPT:
            self._before = self._before or _Offsets()
            self._before.put(last.items())
            last.clear()
        self._next = found[-1][0] + 1 if found else self.end
        return self._next >= self.end

    def newest(self, page: Page) -> list[int]:
        """The numbers of those records of a page of which no later version was met."""
        last = self._last
        if self._before is not None:
            last = dict(self._before.of([key for key in page.keys if self._stands_again(key)]))
            last.update((key, self._last[key]) for key in page.keys if key in self._last)
        if not last:
            return list(range(len(page.keys)))
        return [
            number
            for number, (offset, key) in enumerate(zip(page.offsets, page.keys, strict=True))
            if last.get(key, offset) <= offset
        ]

    def _stands_again(self, key: bytes) -> bool:
        """Whether it may; surely where not."""
        bit = int.from_bytes(key[:8], "big") & self._mask
        return bool(self._again[bit >> 3] & (1 << (bit & 7)))


class _Offsets:
    """The last offset put under each key, in a temporary file of SQLite's."""

    def __init__(self) -> None:
        # a file of no name: SQLite makes it when it has too much in memory, and removes it at once
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close)
        self._db.execute("PRAGMA cache_size=-16384")  # KiB of it in memory
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE last (key BLOB PRIMARY KEY, offset INTEGER) WITHOUT ROWID")

    def put(self, pairs: Iterable[tuple[bytes, int]]) -> None:
        """Under each key its offset, whatever stood there."""
        with _translated():
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO last VALUES (?, ?)", pairs)
            self._db.execute("COMMIT")

    def of(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
        """(key, offset) of those that have one."""
        with _translated():
            for at in range(0, len(keys), _ASKED):
                some = keys[at : at + _ASKED]
                marks = ", ".join("?" * len(some))
                query = f"SELECT key, offset FROM last WHERE key IN ({marks})"
                yield from self._db.execute(query, some)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LogError(
            f"which records have a later version cannot be kept: {error.sqlite_errorname}",
            where="the folder for temporary files",
            mend="make room there, or name another folder in TMPDIR",
        ) from None


def _power(number: int) -> int:
    """The next power of two."""
    return 1 << (number - 1).bit_length()
