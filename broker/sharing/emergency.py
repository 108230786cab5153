"""Rights that end whether or not the store answers: by order, and by their last day.

Law: the right on the cluster is taken first, by the copy of the end dates; what was ordered is
then written into the log, and the store follows as soon as it can. Until it has, nobody gives
the right back.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import NamedTuple

from broker.errors import GrantError, LogError
from broker.log import document
from broker.log.cluster import Cluster
from broker.log.interface import Log
from broker.log.topics import EMERGENCIES
from broker.sharing.ends import Ends
from broker.sharing.rights import rights_to
from broker.sharing.service import Sharing
from broker.sharing.unanswered import Unanswered

_Readers = frozenset[tuple[str, str]]


class Cut(NamedTuple):
    """A grant ended by order: why, and whose right on which topics was taken."""

    reason: str
    taken: _Readers


class Emergency:
    """Takes rights by the copy of the end dates; `cluster` is None where the log is a file."""

    def __init__(
        self, log: Log, cluster: Cluster | None, ends: Ends, unanswered: Unanswered
    ) -> None:
        self._log = log
        self._cluster = cluster
        self._ends = ends
        self._unanswered = unanswered

    def end(self, grant: str, reason: str) -> tuple[Cut, list[str]]:
        """End a grant without the store; what was taken, and the brokers that do not confirm it,
        or the topics at which a fetch may wait.

        `GrantError` where the copy of the end dates does not know it.
        """
        if not reason.strip():
            raise GrantError("a reason is missing", where=grant, mend="--reason '…'")
        readers = frozenset(
            (one.consumer, one.topic) for one in self._ends.known() if one.grant == grant
        )
        if not readers:
            raise GrantError(
                f"the copy of the end dates knows no grant {grant!r}",
                mend="run this where a controller works, or wait for the store",
            )
        cut = Cut(reason.strip(), readers)
        ended = rights_to(readers)
        if self._cluster is not None:
            self._cluster.take(ended)
        before = self._unanswered.noted()
        self._unanswered.note(ended)
        noted = {grant: [cut.reason, sorted(cut.taken)]}
        document.change(self._log, EMERGENCIES, lambda known: known.update(noted))
        if self._cluster is None:
            return cut, []
        self._cluster.take(ended)  # once more: before it was written somebody may have given it
        stand = {(one.consumer, one.topic) for one in self._ends.known()} - self.cut()
        left = self._cluster.unconfirmed(ended)
        return cut, left or self._unanswered.answer(before, rights_to(stand))

    def pending(self) -> Mapping[str, Cut]:
        """What was ended so and the store does not know yet, by grant."""
        found = document.read(self._log, EMERGENCIES)
        return {
            grant: Cut(reason, frozenset((consumer, topic) for consumer, topic in taken))
            for grant, (reason, taken) in found.items()
        }

    def cut(self) -> _Readers:
        """Of whom, on which topics, nobody gives the right back."""
        return frozenset(pair for one in self.pending().values() for pair in one.taken)

    def carry_out(self, sharing: Sharing) -> list[str]:
        """End in the store what was ended without it; the grants."""
        pending = self.pending()
        for grant, cut in pending.items():
            with suppress(GrantError):  # it has ended already
                sharing.revoke(grant, cut.reason)
        if pending:
            self.forget(pending)
        return list(pending)

    def forget(self, grants: Iterable[str]) -> None:
        """The store knows of these."""
        known = set(grants)

        def out(noted: dict[str, object]) -> None:
            for grant in known & noted.keys():
                del noted[grant]

        document.change(self._log, EMERGENCIES, out)

    def end_overdue(self, today: date) -> list[str]:
        """Take the rights whose last day is over, by the copy alone, and delete the topics that
        nobody may read any more; which those are."""
        before = self._unanswered.noted()
        known = self._ends.known()
        stand = {(one.consumer, one.topic) for one in known if one.until >= today}
        over = {(one.consumer, one.topic) for one in known} - stand
        with suppress(LogError):  # the topic itself is deleted below
            self._take(over)
        there, used = self._log.topics(), {topic for _, topic in stand}
        closed = sorted({topic for _, topic in over if topic in there and topic not in used})
        for topic in closed:
            self._log.delete_topic(topic)
        if closed:
            self._log.wiped()
        with suppress(LogError):
            self._unanswered.answer(before, rights_to(stand))
        return closed

    def _take(self, over: Iterable[tuple[str, str]]) -> None:
        """Take the rights of these that are still held."""
        if self._cluster is not None and (held := self._cluster.rights() & rights_to(over)):
            self._unanswered.note(held)
            self._cluster.take(held)
