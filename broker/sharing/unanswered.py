"""Fetches that wait at a broker with a right that has ended: they are answered, with what there
is, before anything later is written.

Law: once the right on a topic is taken the topic is noted, until its fetches have been answered
after every broker refuses: whoever looks next goes on where another was killed. Taking a right
never waits for the note: where the log cannot be written it is kept in memory.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress

from broker.errors import LogError
from broker.log import document
from broker.log.cluster import Cluster, Right
from broker.log.interface import Log
from broker.log.topics import UNANSWERED


class Unanswered:
    """Notes the topics and has them answered; `cluster` is None where the log is a file."""

    def __init__(self, log: Log, cluster: Cluster | None) -> None:
        self._log = log
        self._cluster = cluster
        self._own: set[str] = set()

    def note(self, ended: Iterable[Right]) -> None:
        """These rights are taken."""
        topics = {one.name for one in ended}
        if self._cluster is None or not topics:
            return
        self._own |= topics
        with suppress(LogError):
            document.change(self._log, UNANSWERED, lambda all_: all_.update(dict.fromkeys(topics)))

    def answer(self) -> list[str]:
        """Every broker refuses what has ended: answer what still waits. The topics of which that
        is not certain yet; they stay noted."""
        noted = self._own | document.read(self._log, UNANSWERED).keys()
        if self._cluster is None or not noted:
            return []
        try:
            left = self._cluster.answer_fetches(noted)
        except LogError:
            left = sorted(noted)
        self._forget(noted - set(left))
        return left

    def _forget(self, topics: AbstractSet[str]) -> None:
        self._own -= topics

        def out(noted: dict[str, object]) -> None:
            for topic in topics & noted.keys():
                del noted[topic]

        with suppress(LogError):
            document.change(self._log, UNANSWERED, out)
