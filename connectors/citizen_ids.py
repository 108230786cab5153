"""A column of ID numbers (GB 11643), checked all at once.

Law: what is not found here is right; what is found may be right all the same, in another way or on
a day that is not every year's. The check sums of all are one sum: a long number whose digits are
theirs, of sixteen bits each, where no sum is larger than 5,700.
"""

import struct
from collections.abc import Sequence
from datetime import date, timedelta

LENGTH = 18
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ZERO = ord("0") * sum(_WEIGHTS)
_CHECKED = ["10X98765432"[(one - _ZERO) % 11] for one in range((ord("9") * sum(_WEIGHTS)) + 1)]
"""The check character, by the sum of the other characters' codes."""
_DAYS = frozenset(f"{date(2001, 1, 1) + timedelta(days):%m%d}" for days in range(365))
_CENTURIES = {(ord("1"), ord("9")), (ord("2"), ord("0"))}
_NONE = "0" * LENGTH
"""An ID number that is none."""


def doubtful(cells: Sequence[str | None]) -> list[int]:
    """The places of the cells that may be no ID number as it is to be written."""
    if not cells:
        return []
    shaped = [cell if cell and len(cell) == LENGTH and cell.isascii() else _NONE for cell in cells]
    together = "".join(shaped).encode()
    columns = [together[place::LENGTH] for place in range(LENGTH)]
    if not all(map(bytes.isdigit, columns[:-1])):
        return doubtful([cell if cell[:-1].isdigit() else _NONE for cell in shaped])
    found = {at for at, cell in enumerate(shaped) if cell[10:14] not in _DAYS}
    found |= {at for at, one in enumerate(zip(*columns[6:8], strict=True)) if one not in _CENTURIES}
    checked = "".join([_CHECKED[one] for one in _sums(columns)]).encode()
    if checked != columns[-1]:
        pairs = zip(checked, columns[-1], strict=True)
        found |= {at for at, (wanted, there) in enumerate(pairs) if wanted != there}
    return sorted(found)


def _sums(columns: Sequence[bytes]) -> tuple[int, ...]:
    count = len(columns[0])
    total = 0
    for weight, column in zip(_WEIGHTS, columns, strict=False):
        wide = bytearray(2 * count)
        wide[::2] = column
        total += weight * int.from_bytes(wide, "little")
    return struct.unpack(f"<{count}H", total.to_bytes(2 * count, "little"))
