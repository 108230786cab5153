"""Where the relay stands in a partition, as committed with what it wrote.

Law: every commit of a partition moves its common position from exactly what was read to
a value never used before (`turn` counts), so nothing lands that was made on what another
worker has changed. Ages are judged by the committed year; a pass under a new year says in
a position of its own how far it has come.
"""

import struct
from dataclasses import dataclass

from broker.log.interface import Log
from broker.log.topics import relay_position

_COMMON = struct.Struct(">QHQ")
_PASS = struct.Struct(">HQQ")
_YEAR = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class Common:
    """The common position: next offset to read, the year ages are judged by, commits so far."""

    offset: int
    year: int
    turn: int

    def pack(self) -> bytes:
        """As committed."""
        return _COMMON.pack(self.offset, self.year, self.turn)

    @classmethod
    def unpack(cls, stored: bytes) -> "Common":
        """From what was committed."""
        return cls(*_COMMON.unpack(stored))


@dataclass(frozen=True, slots=True)
class Pass:
    """A yearly pass under way: the new year, next offset to judge anew, where it ends."""

    year: int
    offset: int
    end: int

    def pack(self) -> bytes:
        """As committed."""
        return _PASS.pack(self.year, self.offset, self.end)

    @classmethod
    def unpack(cls, stored: bytes) -> "Pass":
        """From what was committed."""
        return cls(*_PASS.unpack(stored))


@dataclass(frozen=True, slots=True)
class Judged:
    """Up to where a partition has been relayed, and by which year each record was judged."""

    common: Common
    passing: Pass | None

    def year_of(self, offset: int) -> int:
        """The year by which the record at that offset was judged."""
        passing = self.passing
        return passing.year if passing and offset < passing.offset else self.common.year


def judged(log: Log, dataset: str, partition: int) -> Judged | None:
    """Where the partition stands; None before its first commit."""
    common = log.position(relay_position(dataset, partition))
    passing = log.position(pass_position(dataset, partition))
    if common is None:
        return None
    return Judged(Common.unpack(common), Pass.unpack(passing) if passing else None)


def pass_position(dataset: str, partition: int) -> str:
    """The position of a yearly pass."""
    return f"pass.{dataset}.{partition}"


YEARS = "year."
"""What the names of the positions start with that say which year a dataset is judged by."""


def year_position(dataset: str) -> str:
    """The position that says which year a dataset is ordered to be judged by."""
    return f"{YEARS}{dataset}"


def ordered_year(log: Log, dataset: str) -> int:
    """The year ordered; 0 where none was."""
    return unpacked_year(log.position(year_position(dataset)))


def unpacked_year(stored: bytes | None) -> int:
    """From what was committed; 0 where nothing was."""
    return int(_YEAR.unpack(stored)[0]) if stored else 0


def packed_year(year: int) -> bytes:
    """A year as ordered."""
    return _YEAR.pack(year)
