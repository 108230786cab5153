"""New inputs from old ones: bytes changed blindly, and values put in the place of others.

Law: what is drawn follows from the seed alone. Every value is invented.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from broker.projection.avro import Codec
from tests.laws import records as r
from tests.laws.both import World

PIECES = (
    b"\x00", b"\x02", b"\x04", b"\x7f", b"\xff", b"\x80\x00", b"\xff\xff\xff\xff\x0f",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xed\xa0\x80", b"\xe0\x80\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xf0\x9f\x98\x80",
    b"\xe9\xbf\xaf", b"\xe9\xbf\xb0", b"\xe4\xb8\x80", b"\xe4\xb7\xbf", b"\x00\x00\xa0\x7f",
)  # fmt: skip
"""Numbers at the end of what they can be, overlong; characters at the end of what is text."""

LONGEST = 1024
"""Bytes of an input: a longer one goes no other way."""

CODES = [one.code for one in r.DIVISIONS.all()]
NAMES = [one.name for one in r.DIVISIONS.all()]
DAY = date(1970, 1, 1)


def text(dice: Random) -> str:
    """A text of some kind."""
    match dice.randrange(9):
        case 0:
            return dice.choice(CODES)
        case 1:
            return "".join(one.name for one in r.DIVISIONS.path(dice.choice(CODES)))
        case 2:
            return "".join(dice.choice(NAMES) for _ in range(dice.randrange(4)))
        case 3:
            return "".join(dice.choice("0123456789X*") for _ in range(dice.choice((4, 8, 17, 18))))
        case 4:
            number = f"110101{dice.choice((1980, 2019, 2020, 2030))}{dice.randrange(10**8):08d}"
            return number[: dice.choice((6, 9, 10, 17, 18, 18, 18))]
        case 5:
            return dice.choice(("欧阳", "司马", "张", "王", "é", "𠮷")) + "玉" * dice.randrange(4)
        case 6:
            return dice.choice(("王", "123", "", "欧阳")) + "*" * dice.randrange(12)
        case 7:
            return "".join(chr(dice.choice((0x20, 0x41, 0x4E00, 0x9FEF, 0x9FF0, 0x1F600)))
                           for _ in range(dice.randrange(12)))  # fmt: skip
        case _:
            return "字" * dice.choice((0, 1, 21, 22, 63, 64, 300))


def value(avro: Any, dice: Random) -> Any:
    """A value of a type."""
    if isinstance(avro, list):
        return None if dice.randrange(5) == 0 else value(avro[avro[0] == "null"], dice)
    if isinstance(avro, dict):
        return _logical(avro, dice)
    return PLAIN[avro](dice)


def _logical(avro: dict[str, Any], dice: Random) -> Any:
    kind = avro["logicalType"]
    if kind == "date":
        return date.fromordinal(dice.choice((1, 3652059, dice.randrange(1, 3652060), 719163)))
    if kind == "decimal":
        limit = 10 ** avro["precision"] - 1
        edge = dice.choice((0, 300, 600, 1000, 2000, 5000)) * 10 ** avro["scale"]
        number = dice.choice((edge - 1, edge, limit, -limit, dice.randint(-limit, limit)))
        return Decimal(max(-limit, min(number, limit))).scaleb(-avro["scale"])
    around = dice.choice((datetime(1992, 1, 1), datetime(1988, 7, 31, 15), datetime(2000, 1, 1)))
    moment = around + timedelta(
        days=dice.choice((0, 0, dice.randrange(-10000, 10000))), milliseconds=dice.randrange(36**5)
    )
    return moment.replace(tzinfo=UTC)


PLAIN: dict[str, Callable[[Random], Any]] = {
    "boolean": lambda dice: dice.random() < 0.5,
    "int": lambda dice: dice.choice((0, -1, (1 << 31) - 1, -(1 << 31), dice.randrange(100))),
    "long": lambda dice: dice.choice((0, -1, (1 << 63) - 1, -(1 << 63), dice.randrange(100))),
    "float": lambda dice: dice.choice((0.0, -0.0, float("inf"), float("nan"), 0.5)),
    "double": lambda dice: dice.choice((0.0, -0.0, float("inf"), float("nan"), dice.random())),
    "string": text,
    "bytes": lambda dice: dice.randbytes(dice.randrange(12)),
}


def record(world: World, dice: Random) -> bytes:
    """The body of a record that may be one."""
    made = {one["name"]: value(one["type"], dice) for one in world.writer["fields"]}
    return Codec(world.writer)._write(made)


def other_value(world: World, codec: Codec, body: bytes, dice: Random) -> bytes:
    """The same record with another value in one or two of its items."""
    made = codec.decode(body)
    for one in dice.choices(world.writer["fields"], k=dice.choice((1, 1, 2))):
        made[one["name"]] = value(one["type"], dice)
    return codec._write(made)


def bytes_changed(body: bytes, others: Sequence[bytes], dice: Random) -> bytes:
    """The bytes changed in a few places."""
    found = bytearray(body)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(found) + 1)
        match dice.randrange(8):
            case 0:
                del found[at:]
            case 1:
                del found[at : at + dice.choice((1, 1, 2, 8))]
            case 2:
                found[at:at] = dice.choice(PIECES)
            case 3:
                piece = dice.choice(PIECES)
                found[at : at + len(piece)] = piece
            case 4:
                other = dice.choice(others)
                found[at:] = other[dice.randrange(len(other) + 1) :]
            case 5 if at < len(found):
                found[at] = (found[at] + dice.choice((1, 2, -1, -2, 0x80))) & 0xFF
            case 6:
                found += dice.randbytes(1)
            case _ if at < len(found):
                found[at] ^= 1 << dice.randrange(8)
    return bytes(found[:LONGEST])
