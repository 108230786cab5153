"""One partition of one dataset, relayed step by step.

Law: outputs, membership and positions land in one commit or not at all. The common pass
writes the shares that have joined it; a share that is opening catches up beside it, from
the beginning, with the last version of each key alone, and joins in the commit in which
both stand at the same offset. A step is one batch of each, so neither waits for the
other. While a yearly pass judges old records anew, the common pass waits.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from broker.errors import LogError, PositionMoved, UnknownTopic
from broker.log.interface import Log, Page, PositionWrite
from broker.log.topics import relay_position, share_positions
from broker.model import Dataset
from broker.relay.landing import Lander, taken
from broker.relay.membership import NOBODY, Membership, Room
from broker.relay.pace import Pace, Paces
from broker.relay.plan import Plan
from broker.relay.position import Common, Pass, ordered_year, pass_position
from broker.relay.progress import Progress
from broker.relay.slices import Slices
from broker.relay.task import Task
from broker.relay.versions import LastVersions
from broker.seal import Sealer
from broker.sharing.share import JOINED, Share

_WRITTEN = 64_000_000
"""Bytes that a batch writes at most, but for a single record."""

_SPARSE = 8
"""Where most records are superseded: so many times more are read."""

_TRUSTED = 1.0
"""Seconds after a commit of ours in which nobody else is thought to have moved the position: if
somebody has, nothing of ours lands."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every partition is relayed with. `year` is the city's current year, asked only
    for a partition without a committed one; `plan` compiles; `told` hears of each commit."""

    log: Log
    sealer: Sealer
    year: Callable[[], int]
    plan: Callable[[Dataset, Sequence[Share]], Plan]
    told: Callable[[Dataset, Progress], None]
    batch_size: int
    room: Room
    slices: Slices


class Partition:
    """The partition as last seen; what another worker commits makes it look again."""

    def __init__(self, tools: Tools, dataset: Dataset, partition: int, paces: Paces) -> None:
        self._tools = tools
        self._log = tools.log
        self._dataset = dataset
        self._partition = partition
        self._name = relay_position(dataset.id, partition)
        self._pass_name = pass_position(dataset.id, partition)
        self._committed: bytes | None = b""
        self._common = Common(0, 0, 0)
        self._trusted = 0.0
        self._passing: Pass | None = None
        self._places: dict[str, bytes | None] = {}
        self._last: LastVersions | None = None
        self._opening: frozenset[str] = frozenset()
        self._sparse = 1
        self._paces = paces
        self._membership = Membership(tools.log, dataset.id, partition, tools.room)
        self._lander = Lander(dataset, partition, tools.sealer, self._membership)

    def step(self, shares: Sequence[Share]) -> Progress:
        """At most one batch of the common pass and one of the shares that are opening.

        Where nothing was done (`Progress.worked`), everything is up to date.
        """
        self._look()
        total = Progress()
        self._learn_places(shares)
        joined = [share for share in shares if self._places[share.id] == JOINED]
        late = [share for share in shares if self._places[share.id] != JOINED]
        if self._passing or self._new_year():
            self._judge_anew(joined, late, total)
            return total
        if joined or not late:
            self._follow(joined, late, total)
        if late:
            self._catch_up(late, not joined, total)
        else:
            self._last = None
        return total

    def forget(self) -> None:
        """Give back what is kept in memory."""
        self._membership.forget()

    def _look(self) -> None:
        """Take over what is committed, where it is not our own last commit."""
        if time.monotonic() < self._trusted:
            return
        committed = self._log.position(self._name)
        if committed == self._committed:
            return
        self._committed = committed
        if committed is None:
            self._common = Common(0, self._tools.year(), 0)
        else:
            self._common = Common.unpack(committed)
            self._check_reachable()
        passing = self._log.position(self._pass_name)
        self._passing = Pass.unpack(passing) if passing else None
        self._places, self._last = {}, None
        self._membership.begin()

    def _check_reachable(self) -> None:
        """A position beyond the end is of another log: what is written up to it would be
        passed over in silence."""
        topic = self._dataset.collected_topic
        if self._common.offset > self._log.end(topic, self._partition):
            raise LogError(
                "the relay's position lies beyond the end",
                where=f"{topic}/{self._partition}",
                mend="the log is not the one that was relayed: restore it from a backup",
            )

    def _learn_places(self, shares: Sequence[Share]) -> None:
        known = {share.id for share in shares}
        self._places = {name: place for name, place in self._places.items() if name in known}
        for name in known - self._places.keys():
            self._places[name] = self._log.position(self._place_name(name))

    def _place_name(self, share: str) -> str:
        return f"{share_positions(share)}{self._partition}"

    def _follow(self, joined: Sequence[Share], late: Sequence[Share], total: Progress) -> None:
        """One batch of the common pass."""
        end = self._log.end(self._dataset.collected_topic, self._partition)
        if self._common.offset >= end:
            return
        plan, pace = self._tools.plan(self._dataset, joined), self._paces.own
        page = self._read(self._common.offset, end, pace.records(plan.most), plan)
        if not page.keys:
            return
        others = frozenset(share.id for share in late)
        task = plan.task(None, others, self._common.year)
        with _timed(pace, len(page.keys) * plan.most):
            self._land(page, plan, task, page.offsets[-1] + 1, [], total)

    def _catch_up(self, late: Sequence[Share], alone: bool, total: Progress) -> None:
        """One batch for the shares that are furthest behind; or a look at which records are of
        interest to them.

        Where no share has joined yet there is no common pass to wait for: then this is it.
        """
        places = {share.id: _offset(self._places[share.id]) for share in late}
        start = min(places.values())
        group = [share for share in late if places[share.id] == start]
        ahead = [place for place in places.values() if place > start]
        end = self._common.offset
        if alone:
            end = max(end, self._log.end(self._dataset.collected_topic, self._partition))
        limit = min([*ahead, end])
        if not places.keys() <= self._opening:
            self._last = None  # who begins to open now gets nothing that is superseded by now
        self._opening = frozenset(places)
        if not alone and not self._tools.slices.take((self._dataset.id, self._partition)):
            total.more = True
            return
        last = self._last_versions(start, end)
        while not last.look():
            if not alone:
                total.more = True
                return
        plan = self._tools.plan(self._dataset, group)
        pace = self._paces.own if alone else self._paces.beside
        wanted = min(pace.records(plan.most), self._tools.batch_size)
        page = self._read(start, limit, wanted * self._sparse, plan)
        newest, reached = _newest(page, last, wanted, limit)
        few = len(newest.keys) * 2 <= len(page.keys)
        self._sparse = min(_SPARSE, 2 * self._sparse) if few else 1
        value = JOINED if reached >= end else reached.to_bytes(8, "big")
        moves = [
            PositionWrite(self._place_name(share.id), self._places[share.id], value)
            for share in group
        ]
        mine = frozenset(share.id for share in group)
        task = plan.task(mine, NOBODY, self._common.year)
        with _timed(pace, len(newest.keys) * plan.most):
            self._land(newest, plan, task, max(reached, self._common.offset), moves, total)
        self._places.update(dict.fromkeys(mine, value))

    def _new_year(self) -> bool:
        """Whether a year was ordered that this partition is not judged by yet."""
        return ordered_year(self._log, self._dataset.id) > self._common.year

    def _judge_anew(self, joined: Sequence[Share], late: Sequence[Share], total: Progress) -> None:
        """One batch of the yearly pass: who enters a share, who leaves it. Shares that are
        opening begin again, under the new year."""
        before, passing = self._passing, self._passing
        moves: list[PositionWrite] = []
        if passing is None:
            year = ordered_year(self._log, self._dataset.id)
            passing = Pass(year, 0, self._common.offset)
            self._last = None  # a catch-up has looked up to an earlier end
            for share in late:
                place = self._places[share.id]
                moves.append(PositionWrite(self._place_name(share.id), place, None))
        last = self._last_versions(passing.offset, passing.end)
        while not last.look():
            pass  # the common pass waits
        plan, pace = self._tools.plan(self._dataset, joined), self._paces.own
        page = self._read(passing.offset, passing.end, pace.records(plan.most), plan)
        newest, reached = _newest(page, last, len(page.keys), passing.end)
        after = Pass(passing.year, reached, passing.end) if reached < passing.end else None
        packed = before.pack() if before else None
        if (before, after) != (None, None):
            value = after.pack() if after else None
            moves.append(PositionWrite(self._pass_name, packed, value))
        others = frozenset(share.id for share in late)
        task = plan.task(None, others, passing.year, again=False)
        common = self._common
        if after is None:
            self._common = Common(common.offset, passing.year, common.turn)
        with _timed(pace, len(newest.keys) * plan.most):
            self._land(newest, plan, task, common.offset, moves, total)
        self._passing, self._last = after, self._last if after else None
        for share in late:
            self._places[share.id] = None

    def _last_versions(self, start: int, end: int) -> LastVersions:
        """Which records have a later version, as seen when the pass began: an earlier one is in
        no share that opens now."""
        if self._last is None or self._last.start > start:
            topic = self._dataset.collected_topic
            self._last = LastVersions(self._log, topic, self._partition, start, end)
        return self._last

    def _read(self, offset: int, end: int, records: int, plan: Plan) -> Page:
        """So many records below `end`, or as many as may be written to as many shares as there are
        for each."""
        if offset >= end:
            return Page((), (), ())
        limit = min(records, self._tools.batch_size, end - offset)
        found = self._log.page(self._dataset.collected_topic, self._partition, offset, limit)
        below = min(bisect_left(found.offsets, end), _fitting(found, _WRITTEN // plan.most))
        return found if below == len(found.offsets) else taken(found, range(below))

    def _land(
        self,
        page: Page,
        plan: Plan,
        task: Task,
        offset: int,
        moves: list[PositionWrite],
        total: Progress,
    ) -> None:
        """Commit the batch of these records with the common offset and the other moves."""
        landing = self._lander.land(page, plan, task)
        common = Common(offset, self._common.year, self._common.turn + 1)
        value = common.pack()
        landing.batch.positions.extend([PositionWrite(self._name, self._committed, value), *moves])
        landing.batch.consumed[self._dataset.collected_topic, self._partition] = offset
        self._log.commit(landing.batch)
        self._membership.committed(landing.moved)
        self._common, self._committed = common, value
        self._trusted = time.monotonic() + _TRUSTED
        total.add(landing.progress)
        self._tools.told(self._dataset, landing.progress)


def _newest(page: Page, last: LastVersions, most: int, end: int) -> tuple[Page, int]:
    """Of those records of which no later version was seen the first so many; the offset up to which
    they go, `end` where there are none."""
    found = last.newest(page)
    reached = page.offsets[-1] + 1 if page.keys else end
    if len(found) > most:
        reached = page.offsets[found[most]]
        del found[most:]
    return (page if len(found) == len(page.keys) else taken(page, found)), reached


def _fitting(page: Page, size: int) -> int:
    """How many records have together so many bytes; at least one."""
    sizes = [len(value) if value else 0 for value in page.values]
    if sum(sizes) <= size:
        return len(sizes)
    return max(1, bisect_right(list(accumulate(sizes)), size))


@contextmanager
def _timed(pace: Pace, written: int) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    except (PositionMoved, UnknownTopic):
        raise
    except LogError:
        pace.failed(written)
        raise
    pace.took(written, time.monotonic() - started)


def _offset(place: bytes | None) -> int:
    return int.from_bytes(place or b"", "big")
