"""What a Kafka client has to do for the log, whichever it is.

Law: nothing uncommitted is read. A transaction of which any send has failed is aborted. Who
was fenced hears it as `Fenced`; where the outcome is not known, `LogError`, and the writer is
of no more use.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.errors import LogError
from broker.log.interface import Append, Stored

Place = tuple[str, int]
"""Topic and partition."""


class Fenced(LogError):
    """Another writer of that name has begun, or the group has given the work to another."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records, and the offset to go on from: behind markers and what was aborted."""

    records: Sequence[Stored]
    after: int


class Reader(Protocol):
    """Reads by offset; one thread at a time."""

    def read(self, topic: str, partition: int, offset: int, limit: int) -> Page:
        """At most `limit` committed records from `offset` on; fewer only at the stable end."""

    def stable_end(self, topic: str, partition: int) -> int:
        """The offset up to which every transaction is over."""

    def high_end(self, topic: str, partition: int) -> int:
        """The offset behind everything that was written, also by whoever is still at it."""

    def follow(self, topic: str, partitions: int, tell: Callable[[], None], seconds: float) -> None:
        """Tell of what is committed to the topic from now on, for so many seconds."""

    def close(self) -> None:
        """Give back connections."""


class Member(Protocol):
    """A member of the group that shares the partitions of collected topics; it is in the
    group from being made until it is closed."""

    def mine(self) -> frozenset[Place]:
        """The partitions that are ours now."""

    def turn(self) -> int:
        """A number that grows whenever partitions are given out anew."""

    def settled(self, place: Place) -> None:
        """Return once no transaction with an earlier owner's position is open."""

    def close(self) -> None:
        """Leave the group."""


class Writer(Protocol):
    """Writes as one transactional id; making it fences who had it. One thread at a time."""

    def usable(self) -> bool:
        """Whether it may be used once more; else another is to be made."""

    def land(
        self,
        appends: Iterable[Append],
        member: Member | None = None,
        consumed: Mapping[Place, int] | None = None,
    ) -> None:
        """All of it in one transaction, with the group's position where `consumed` says it."""

    def close(self) -> None:
        """Give back connections."""


class Transport(Protocol):
    """Makes them."""

    name: str

    def reader(self) -> Reader:
        """A reader."""

    def writer(self, name: str) -> Writer:
        """The writer with that transactional id."""

    def member(self, group: str, topics: Sequence[str]) -> Member:
        """A member of the group, over those topics."""
