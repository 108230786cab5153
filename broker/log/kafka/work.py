"""The relay's part of the work: the partitions that its group has given to this process.

Law: a batch lands only while the group counts this process as the owner of what it was made
of. A partition that was given out anew is read from what is committed, once no transaction
of an earlier owner is open.
"""

import threading
import time
from collections.abc import Callable, Sequence

from broker.errors import PositionMoved
from broker.log.interface import Batch, Place, Run
from broker.log.kafka.fences import Fence, moved
from broker.log.kafka.transport import Consumed, Member, Transport

GROUP = "shuqiao.relay"
_TOPICS = (r"^collected\..*",)
_PAUSE = 0.05
_JOINED = 15.0
"""Seconds that the group has to give this process its first partitions."""


class Work:
    """The membership; it begins when it is first asked for."""

    def __init__(self, transport: Transport, fence: Fence) -> None:
        self._transport = transport
        self._fence = fence
        self._lock = threading.Lock()
        self._member: Member | None = None
        self._settled: dict[Place, int] = {}

    def owns(self, place: Place) -> bool:
        """Whether the partition is ours."""
        return place in self._joined().mine()

    def turns(self) -> int:
        """How often the group has given out its partitions anew, as seen here."""
        member = self._member
        return member.turn() if member is not None else 0

    def land(self, batch: Batch, runs: Callable[[], Sequence[Run]]) -> None:
        """Land a batch with the group's positions; `PositionMoved` where it is not for us."""
        member = self._joined()
        with self._lock:
            # before anything is looked at: who we are later may be who has lost these partitions
            who = member.metadata()
            for place in batch.consumed:
                self._settle(member, place, batch)
            try:
                self._fence.land(batch, runs, Consumed(who, batch.consumed))
            except PositionMoved:
                time.sleep(_PAUSE)  # the group may know more than we have heard yet
                raise

    def _settle(self, member: Member, place: Place, batch: Batch) -> None:
        turn = member.turn()
        if place not in member.mine():
            raise moved(batch)
        if self._settled.get(place) != turn:
            member.settled(place)
            self._fence.unlearn()
            self._settled[place] = turn

    def _joined(self) -> Member:
        with self._lock:
            if self._member is None:
                self._member = self._transport.member(GROUP, _TOPICS)
                until = time.monotonic() + _JOINED
                while not self._member.turn() and time.monotonic() < until:
                    time.sleep(0.02)
            return self._member

    def close(self) -> None:
        """Leave the group."""
        with self._lock:
            self._fence.forget()
            if self._member is not None:
                self._member.close()
                self._member = None
