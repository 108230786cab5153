"""Who may read the shared topics on the cluster itself, brought into line with sharing.

Law: a consumer may read exactly the live shares that today's decisions give it, and commit in
groups of its own name alone. What has ended is taken before anything is given, and counts as
taken once every live broker says so and no fetch waits that was allowed before. A right on a
name of ours that nobody granted is told.
"""

import time
from collections.abc import Callable, Iterable
from datetime import date

from broker.errors import CatalogError, PolicyError
from broker.log.cluster import Cluster, Right
from broker.sharing.credentials import Credentials
from broker.sharing.emergency import Emergency
from broker.sharing.given import Given
from broker.sharing.rights import group_right, reads_shared, rights_to, touches_ours
from broker.sharing.service import Sharing
from broker.sharing.share import LIVE
from broker.sharing.unanswered import Unanswered
from broker.telemetry import Event, RightUnconfirmed, StrayRight

LOOK = 30.0
"""Seconds after which the cluster is compared again although nothing has changed here."""

PATIENCE = 2.0
"""Seconds for which all brokers are waited for; then it is told, and asked again later."""

_PAUSE = 0.02


class Reading:
    """The rights of consumers on the cluster; where there is none, there is nothing to do."""

    def __init__(
        self,
        sharing: Sharing,
        given: Given,
        cluster: Cluster | None,
        credentials: Credentials,
        emergency: Emergency,
        unanswered: Unanswered,
        emit: Callable[[Event], None],
    ) -> None:
        self._sharing = sharing
        self._given = given
        self._cluster = cluster
        self._credentials = credentials
        self._emergency = emergency
        self._unanswered = unanswered
        self._emit = emit
        self._done: tuple[tuple[int, date], float] | None = None
        self._told: set[Right] = set()

    def settle(self, fresh: bool = True) -> list[str]:
        """Take what has ended and give what is due; the brokers that do not confirm that what
        has ended is refused, or the topics at which a fetch may wait. Not `fresh`: nothing, where
        nothing can have changed."""
        if self._cluster is None:
            return []
        now = self._sharing.revision()
        if not fresh and self._done is not None:
            known, at = self._done
            if known == now and time.monotonic() - at < LOOK:
                return []
        self._done = None
        before = self._unanswered.noted()
        held = self._cluster.rights()
        wanted = self.wanted()  # asked later: what was given meanwhile is not taken
        ended = {one for one in held - wanted if reads_shared(one)}
        closing = rights_to(self._given.ending())  # what waits there is answered with the topic
        self._unanswered.note(ended - closing)
        self._cluster.take(ended)
        if wanted - held:
            self._give(held)
        self._tell(held - wanted, ended)
        left = self._left(ended | closing)
        left = left or self._unanswered.answer(before, wanted)
        if left:
            self._emit(RightUnconfirmed(brokers=len(left)))
        elif before is not None:
            self._done = now, time.monotonic()
        return left

    def _give(self, held: set[Right]) -> None:
        """Give what is due while nobody can end it: given after somebody else took it, a right
        would stand that is confirmed to have ended."""
        assert self._cluster is not None
        with self._sharing.unchanged():
            fresh = self.wanted() - held
            self._cluster.give(fresh)
        cut = self._emergency.cut()  # an emergency waits for nobody
        back = {one for one in fresh if reads_shared(one) and (one.user, one.name) in cut}
        self._unanswered.note(back)
        self._cluster.take(back)

    def wanted(self) -> set[Right]:
        """Every right that consumers should have now."""
        users = self._credentials.made()
        cut = self._emergency.cut()
        return {group_right(name) for name in users} | rights_to(
            {one for one in self._readers() if one[0] in users and one not in cut}
        )

    def strays(self, rights: Iterable[Right]) -> set[Right]:
        """Of rights that nobody granted, those that touch what is ours."""
        users = set(self._credentials.made())
        return {one for one in rights if touches_ours(one, users)}

    def _readers(self) -> set[tuple[str, str]]:
        try:
            audiences = self._sharing.audiences()
        except (PolicyError, CatalogError):
            # what was given stays as long as its grant does: a share that vanishes means to a
            # consumer that its copy is to be deleted
            return self._given.standing() & self._held()
        return {
            (consumer, one.share.topic)
            for one in audiences
            if one.share.state == LIVE
            for consumer in one.readers
        }

    def _held(self) -> set[tuple[str, str]]:
        assert self._cluster is not None
        return {(one.user, one.name) for one in self._cluster.rights() if reads_shared(one)}

    def _left(self, ended: set[Right]) -> list[str]:
        assert self._cluster is not None
        until = time.monotonic() + PATIENCE
        while (left := self._cluster.unconfirmed(ended)) and time.monotonic() < until:
            time.sleep(_PAUSE)
        return left

    def _tell(self, unwanted: set[Right], taken: set[Right]) -> None:
        """Tell, once, of what nobody granted."""
        routine = {one for one in taken if self._was_given(one)}
        strays = self.strays(unwanted) - routine
        for one in strays - self._told:
            self._emit(StrayRight(does=one.does, kind=one.kind, name=one.name, taken=one in taken))
        self._told = strays

    def _was_given(self, right: Right) -> bool:
        pair = right.user, right.name
        return right in rights_to({pair}) and self._given.ever(*pair)
