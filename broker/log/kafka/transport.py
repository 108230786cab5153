"""What a Kafka client has to do for the log, whichever it is.

Law: nothing uncommitted is read. A transaction of which any send has failed is aborted. Who
was fenced hears it as `Fenced`; where the outcome is not known, `LogError`, and the writer is
of no more use.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from broker.errors import LogError
from broker.log.interface import Place, Run, Stored


class Fenced(LogError):
    """Another writer of that name has begun, or the group has given the work to another."""


@dataclass(slots=True)
class Fetched:
    """Records, column by column, and the offset to go on from: behind markers and what was
    aborted. `times` are ms since 1970 UTC, where they were asked for."""

    after: int
    offsets: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def bytes(self, since: int) -> int:
        """Of the values from that number on."""
        return sum(len(value) for value in self.values[since:] if value)

    def records(self) -> Sequence[Stored]:
        """One by one, with their times."""
        return list(map(Stored, self.offsets, self.keys, self.values, self.times))


class Reader(Protocol):
    """Reads by offset; one thread at a time."""

    def read(
        self,
        topic: str,
        partition: int,
        offset: int,
        limit: int,
        *,
        size: int | None = None,
        times: bool = False,
    ) -> Fetched:
        """At most `limit` committed records from `offset` on; fewer only at the stable end, or
        where the values have about `size` bytes. `times`: with their times."""

    def ranges(self, wanted: Mapping[Place, tuple[int, int]], size: int) -> dict[Place, Fetched]:
        """Every committed record of these ranges, whose ends are stable, and perhaps some behind
        them; without those that there was no room for in about `size` bytes of values, or that are
        not read more quickly together."""

    def stable_end(self, topic: str, partition: int) -> int:
        """The offset up to which every transaction is over."""

    def high_end(self, topic: str, partition: int) -> int:
        """The offset behind everything that was written, also by whoever is still at it."""

    def ends(self, places: Sequence[Place], stable: bool) -> list[int]:
        """`stable_end`, or else `high_end`, of each of these; a broker is asked once for all that
        it leads."""

    def follow(self, topic: str, partitions: int, tell: Callable[[], None], seconds: float) -> None:
        """Tell of what is committed to the topic, for so many seconds. Whoever calls for the first
        time is told once it is set: what was committed before that is told by nothing else."""

    def close(self) -> None:
        """Give back connections."""


class Member(ABC):
    """A member of the group that shares the partitions of collected topics; it is in the
    group from being made until it is closed. A thread keeps it there."""

    def __init__(self) -> None:
        self._mine: frozenset[Place] = frozenset()
        self._turn = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._stay, name="relay-group", daemon=True)

    def mine(self) -> frozenset[Place]:
        """The partitions that are ours now."""
        return self._mine

    def turn(self) -> int:
        """A number that grows whenever partitions are given out anew."""
        return self._turn

    def _given_out(self, places: Iterable[Any]) -> None:
        """These partitions, as the client describes them, are ours."""
        self._turn += 1
        self._mine = frozenset((one.topic, one.partition) for one in places)

    def _taken_away(self) -> None:
        """None are ours any more."""
        self._mine = frozenset()

    @abstractmethod
    def _stay(self) -> None:
        """Stay in the group until `_closed`, then leave it."""

    @abstractmethod
    def settled(self, place: Place) -> None:
        """Return once no transaction with an earlier owner's position is open."""

    @abstractmethod
    def metadata(self) -> Any:
        """Who we are in the group, as the client's transactions are told."""

    def close(self) -> None:
        """Leave the group."""
        self._closed.set()
        self._thread.join()


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a transaction is made of: by partition the offset up to which it is taken, and who in
    the group took it: the group refuses whoever it has given other partitions since."""

    who: Any
    offsets: Mapping[Place, int]


class Writer(Protocol):
    """Writes as one transactional id; making it fences who had it. One thread at a time."""

    def usable(self) -> bool:
        """Whether it may be used once more; else another is to be made."""

    def land(self, runs: Iterable[Run], consumed: Consumed | None = None) -> None:
        """All of it in one transaction, with the group's positions where some are given."""

    def close(self) -> None:
        """Give back connections."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Makes them: a writer by its transactional id, a member by its group and the topics."""

    reader: Callable[[], Reader]
    writer: Callable[[str], Writer]
    member: Callable[[str, Sequence[str]], Member]
