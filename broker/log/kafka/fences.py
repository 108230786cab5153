"""Who may move which position: writers by name, each fencing its namesakes.

Law: positions of one scope are moved by one transactional id. Whoever has begun with it last
is the only one whose transactions land, so what he read after he began holds until he is
fenced. After any error nothing is assumed: the writer is given up, everything is read again.
"""

import threading
from collections.abc import Callable, Sequence

from broker.errors import LogError, PositionMoved
from broker.log.counts import ABORTED, COMMITTED, FENCED, Counts
from broker.log.interface import Batch, PositionWrite, Run
from broker.log.kafka.transport import Consumed, Fenced, Writer

CONTROL = "control"
_OF_A_RUNNER = ("runner", "held", "source")
_MIGRATION = "migrate"


def scope_of(moves: Sequence[PositionWrite]) -> str:
    """The scope of a batch that moves these positions."""
    for move in moves:
        kind, department, dataset = [*move.name.split(".", 3), "", ""][:3]
        if kind in _OF_A_RUNNER:
            return f"collect.{department}.{dataset}"
        if kind == _MIGRATION:
            return kind
    return CONTROL


class Fence:
    """The writer of one scope. `begin` makes it, `read` gives a position as it is committed."""

    def __init__(
        self, begin: Callable[[], Writer], read: Callable[[str], bytes | None], counts: Counts
    ) -> None:
        self._begin = begin
        self._read = read
        self._counts = counts
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._known: dict[str, bytes | None] = {}

    def land(
        self,
        batch: Batch,
        runs: Callable[[], Sequence[Run]],
        consumed: Consumed | None = None,
    ) -> None:
        """Land the batch, as the runs that it comes to; `PositionMoved` where a position is
        not as expected, or somebody else has begun."""
        with self._lock:
            try:
                self._land(batch, runs, consumed)
            except BaseException as error:
                self._forget()  # also what we knew: a rival may have moved it since
                fenced = isinstance(error, Fenced | PositionMoved)
                self._counts.one(FENCED if fenced else ABORTED)
                if isinstance(error, Fenced):
                    raise moved(batch) from None
                raise
            self._counts.one(COMMITTED)

    def _land(
        self,
        batch: Batch,
        runs: Callable[[], Sequence[Run]],
        consumed: Consumed | None,
    ) -> None:
        if self._writer is not None and not self._writer.usable():
            self._forget()
        if self._writer is None:
            self._writer = self._begin()
        for move in batch.positions:
            if move.name not in self._known:
                self._known[move.name] = self._read(move.name)
            if self._known[move.name] != move.expected:
                raise moved(batch)
        self._writer.land(runs(), consumed)
        self._known.update({move.name: move.value for move in batch.positions})

    def unlearn(self) -> None:
        """Read every position again."""
        with self._lock:
            self._known = {}

    def forget(self) -> None:
        """Assume nothing any more."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        writer, self._writer, self._known = self._writer, None, {}
        if writer is not None:
            writer.close()


def moved(batch: Batch) -> LogError:
    """Somebody else was there first."""
    names = ", ".join(move.name for move in batch.positions[:1]) or "of the group"
    return PositionMoved(
        f"position {names} was moved by another writer",
        mend="read it again and start from there",
    )
