"""What a cluster keeps beside the records: its users, what each may do, how topics are set.

Law: a right is named whole, so that taking it takes that one and no other. What is denied
is no right. The broker's own user is not told of here: it may do everything.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol


class Right(NamedTuple):
    """That a user may do something.

    `does` and `kind` are the protocol's words in lower case (read, describe, write …; topic,
    group, cluster …). `prefixed`: of every name that starts with `name`; `*` is every name.
    `host` is where from; `*`: from anywhere.
    """

    user: str
    does: str
    kind: str
    name: str
    prefixed: bool = False
    host: str = "*"

    def covers(self, name: str) -> bool:
        """Whether it is about what has that name."""
        if self.prefixed:
            return name.startswith(self.name)
        return self.name in ("*", name)

    def touches(self, start: str) -> bool:
        """Whether it is about anything whose name starts so."""
        if self.prefixed:
            return self.name.startswith(start) or start.startswith(self.name)
        return self.name == "*" or self.name.startswith(start)


class TopicAsSet(NamedTuple):
    """A topic as it stands: partitions, the least number of copies of one, what was set."""

    partitions: int
    copies: int
    settings: Mapping[str, str]


class Cluster(Protocol):
    """Every method may raise `LogError`."""

    def users(self) -> set[str]:
        """Everybody who has a password here, ourselves too."""

    def put_user(self, name: str, password: str) -> None:
        """Make a user, or give one another password: the old one lets nobody in any more. None
        is ever removed: see `KafkaCluster`."""

    def rights(self) -> set[Right]:
        """Every right that somebody else has."""

    def give(self, rights: Collection[Right]) -> None:
        """Give rights."""

    def take(self, rights: Collection[Right]) -> None:
        """Take rights away; one that nobody has is nothing."""

    def unconfirmed(self, rights: Collection[Right]) -> list[str]:
        """The live brokers that have not said yet that none of these rights is held."""

    def answer_fetches(self, topics: Collection[str]) -> list[str]:
        """Have every fetch that waits at a broker for one of these topics answered with what
        there is now; the topics of which that is not certain yet. Missing topics are nothing."""

    def topics_as_set(self) -> dict[str, TopicAsSet]:
        """Every topic as it stands."""

    def should_be_set(self) -> TopicAsSet:
        """How every topic of ours should be set, whatever its partition count (0 here)."""

    def set_topic(self, name: str, settings: Mapping[str, str]) -> None:
        """Set a topic anew, in what is named."""

    def close(self) -> None:
        """Give back connections."""
