"""Which records of a partition have a later version further on.

Law: exact. Only keys are read, some at a time. Most keys stand once, and nothing is kept of them
but a bit or two: of a key that may have been met before, by its bits, the last offset is kept, so
that a million keys cost two megabytes and not two hundred.
"""

from broker.log.interface import Log, Page

_BITS_A_KEY = 16
_LEAST, _MOST = 1 << 16, 1 << 26
"""Bits: however far the offsets of a partition have come, eight megabytes are the most."""

KEYS_AT_ONCE = 20_000
"""As many as are read in some hundredths of a second."""


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
        self._seen = bytearray((self._mask >> 3) + 1)
        self._last: dict[bytes, int] = {}

    def look(self) -> bool:
        """Read on for a moment; whether all is known."""
        if self._next >= self.end:
            return True
        limit = min(KEYS_AT_ONCE, self.end - self._next)
        found = self._log.keys(self._topic, self._partition, self._next, limit)
        seen, mask, last = self._seen, self._mask, self._last
        for offset, key in found:
            if offset >= self.end:
                break
            bit = int.from_bytes(key[:8], "big") & mask
            if seen[bit >> 3] & (1 << (bit & 7)):
                last[key] = offset
            else:
                seen[bit >> 3] |= 1 << (bit & 7)
        self._next = found[-1][0] + 1 if found else self.end
        return self._next >= self.end

    def newest(self, page: Page) -> list[int]:
        """The numbers of those records of a page of which no later version was met."""
        last = self._last
        if not last:
            return list(range(len(page.keys)))
        return [
            number
            for number, (offset, key) in enumerate(zip(page.offsets, page.keys, strict=True))
            if last.get(key, offset) <= offset
        ]


def _power(number: int) -> int:
    """The next power of two."""
    return 1 << (number - 1).bit_length()
