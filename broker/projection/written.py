"""Avro bytes of numbers and texts, without the schema library: from tables, as every record has
some.

Law: they are what `Codec` writes.
"""

from functools import cache

_LOW = 1 << 14
"""What two bytes of a number hold."""


def number(value: int) -> bytes:
    """A whole number: zigzag, seven bits a byte, the lowest first."""
    rest = value << 1 if value >= 0 else ~(value << 1)
    written = bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


LONGEST = 4095
"""Bytes of the longest text that `lengths` has a beginning for."""


@cache
def lengths(before: bytes = b"") -> tuple[bytes, ...]:
    """What stands before a text of so many bytes; `before` all of that, the branch of a union."""
    return tuple(before + number(length) for length in range(LONGEST + 1))


_GOES_ON = tuple(bytes((one & 0x7F | 0x80, one >> 7 | 0x80)) for one in range(_LOW))
_ENDS = tuple(number(one >> 1 if one % 2 == 0 else ~(one >> 1)) for one in range(_LOW))
FIRST, BEHIND = 1 << 27, 1 << 41
"""The numbers that `times` writes: from January 1970 to 2039, in ms."""


def times(milliseconds: list[int]) -> list[bytes]:
    """Whole numbers from `FIRST` on, before `BEHIND`."""
    return [
        _GOES_ON[one << 1 & 0x3FFF] + _GOES_ON[one >> 13 & 0x3FFF] + _ENDS[one >> 27]
        for one in milliseconds
    ]
