"""One partition of one dataset, relayed step by step.

Law: outputs, membership and positions land in one commit or not at all. The common pass
writes the shares that have joined it; a share that is opening catches up beside it, from
the beginning, with the last version of each key alone, and joins in the commit in which
both stand at the same offset. A step is one batch of each, so neither waits for the
other. While a yearly pass judges old records anew, the common pass waits.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from broker.errors import LogError
from broker.log.interface import PAGE_BYTES, Log, Page, PositionWrite
from broker.log.topics import relay_position, share_positions
from broker.model import Dataset
from broker.relay.landing import Lander, Landing
from broker.relay.membership import NOBODY, Membership, Room, Shares
from broker.relay.pace import Paces
from broker.relay.pages import fitting, newest_of, part, size_of
from broker.relay.plan import Plan
from broker.relay.position import Common, Pass, ordered_year, pass_position
from broker.relay.progress import Progress
from broker.relay.slices import Slices
from broker.relay.task import Task
from broker.relay.versions import LastVersions
from broker.seal import Sealer
from broker.sharing.share import JOINED, Share

WRITTEN = 64_000_000
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


@dataclass(frozen=True, slots=True)
class Made:
    """A batch that is made and not committed yet. `value` is its position; it writes so many
    `values`, of so many `bytes` at most, and took so many `seconds`."""

    landing: Landing
    common: Common
    value: bytes
    values: int
    bytes: int
    seconds: float


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
        self._through = 0
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

    def is_plain(self, shares: Sequence[Share], year: int) -> bool:
        """Whether the common pass is all that there is to do, where that year was ordered."""
        self._look()
        self._learn_places(shares)
        return (
            self._passing is None
            and year <= self._common.year
            and all(place == JOINED for place in self._places.values())
        )

    def begins(self) -> int | None:
        """Where the next batch of the common pass begins, as far as is known without a look."""
        return self._common.offset if time.monotonic() < self._trusted else None

    def make(
        self,
        shares: Sequence[Share],
        end: int,
        others: Shares = NOBODY,
        ahead: tuple[int, Page] | None = None,
    ) -> Made | None:
        """The common pass's next batch of what lies below `end`; None where there is nothing. To be
        asked where `is_plain`, and followed by `landed`, or by nothing more. `ahead` is what was
        read already, all that there is from that offset up to `end`."""
        if max(self._common.offset, self._through) >= end:
            return None
        started = time.monotonic()
        plan = self._tools.plan(self._dataset, shares)
        records = self._paces.own.records(plan.most)
        start = self._common.offset
        read = ahead[1] if ahead and ahead[0] == start else None
        page, whole = self._read(start, end, records, plan, read)
        if whole:
            self._through = end  # what else is there are marks of the engine's own
        if not page.keys:
            return None
        landing = self._lander.land(page, plan, plan.task(None, others, self._common.year))
        common, value = self._moves(landing, page.offsets[-1] + 1, [])
        size = plan.most * size_of(page)
        took = time.monotonic() - started
        return Made(landing, common, value, len(page.keys) * plan.most, size, took)

    def landed(self, made: Made, seconds: float) -> Progress:
        """It has been committed, which took so long; what it did."""
        self._paces.own.took(made.values, made.seconds + seconds)
        self._took_over(made.landing, made.common, made.value)
        return made.landing.progress

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
        self._places, self._last, self._through = {}, None, 0
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
        made = self.make(joined, end, frozenset(share.id for share in late))
        if made is None:
            return
        with self._paces.own.timed(made.values, made.seconds):
            self._log.commit(made.landing.batch)
        self._took_over(made.landing, made.common, made.value)
        total.add(made.landing.progress)

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
        page, _ = self._read(start, limit, wanted * self._sparse, plan)
        newest, reached = newest_of(page, last, wanted, limit)
        few = len(newest.keys) * 2 <= len(page.keys)
        self._sparse = min(_SPARSE, 2 * self._sparse) if few else 1
        value = JOINED if reached >= end else reached.to_bytes(8, "big")
        moves = [
            PositionWrite(self._place_name(share.id), self._places[share.id], value)
            for share in group
        ]
        mine = frozenset(share.id for share in group)
        task = plan.task(mine, NOBODY, self._common.year)
        with pace.timed(len(newest.keys) * plan.most):
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
        page, _ = self._read(passing.offset, passing.end, pace.records(plan.most), plan)
        newest, reached = newest_of(page, last, len(page.keys), passing.end)
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
        with pace.timed(len(newest.keys) * plan.most):
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

    def _read(
        self, offset: int, end: int, records: int, plan: Plan, ahead: Page | None = None
    ) -> tuple[Page, bool]:
        """So many records below `end`, or as many as may be written to as many shares as there are
        for each; whether these are all."""
        if offset >= end:
            return Page((), (), ()), True
        limit = min(records, self._tools.batch_size, end - offset)
        topic = self._dataset.collected_topic
        found = ahead or self._log.page(topic, self._partition, offset, limit)
        there = bisect_left(found.offsets, end)
        all_read = there < len(found.offsets) or (
            there < limit and size_of(found) < PAGE_BYTES // 2
        )
        below = min(there, limit, fitting(found, WRITTEN // plan.most))
        return part(found, below), below == there and (ahead is not None or all_read)

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
        common, value = self._moves(landing, offset, moves)
        self._log.commit(landing.batch)
        self._took_over(landing, common, value)
        total.add(landing.progress)

    def _moves(
        self, landing: Landing, offset: int, moves: Sequence[PositionWrite]
    ) -> tuple[Common, bytes]:
        """Let the batch move the common position to that offset, and make the other moves."""
        common = Common(offset, self._common.year, self._common.turn + 1)
        value = common.pack()
        landing.batch.positions.extend([PositionWrite(self._name, self._committed, value), *moves])
        landing.batch.consumed[self._dataset.collected_topic, self._partition] = offset
        return common, value

    def _took_over(self, landing: Landing, common: Common, value: bytes) -> None:
        """The batch has been committed."""
        self._membership.committed(landing.moved)
        self._common, self._committed = common, value
        self._trusted = time.monotonic() + _TRUSTED
        self._tools.told(self._dataset, landing.progress)


def _offset(place: bytes | None) -> int:
    return int.from_bytes(place or b"", "big")
