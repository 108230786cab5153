"""Changes by a timetable, and the delay of each until a reader of the share has it.

Law: a change is due when the timetable says so, whatever becomes of those before it, and its delay
counts from then, not from when somebody got round to it: so a stall costs everyone who was due in
it (corrected for coordinated omission). What has come due meanwhile goes along in one commit, as
with a source that is read. Of a key that is due again before it was read the first counts.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import Any

from broker.bootstrap import Broker
from broker.relay.lag import Behind, Places
from broker.sharing.share import LIVE, Share
from tests.bench.measure import spread
from tests.bench.roles import until
from tests.bench.subject import DATASET, Sealed

TICK = 0.02
_MOST = 10_000
"""Changes that a commit has at most."""

_PATIENCE = 60.0
_PAGE = 10_000


class Timetable(threading.Thread):
    """So many changes a second, for so long or until it is ended. `due`: when each lot was due,
    when its commit began, and whose it is."""

    def __init__(self, sealed: Sealed, rate: float, seconds: float = 1e9) -> None:
        super().__init__(daemon=True)
        self.due: list[tuple[float, float, list[range]]] = []
        self.changed = 0
        self.took = 0.0
        self._sealed = sealed
        self._each = max(1, round(rate * TICK))
        self._ticks = round(seconds / TICK)
        self._people = turns(sealed.people)
        self._over = threading.Event()

    def run(self) -> None:
        """Until it is over."""
        started, tick, most = time.monotonic(), 0, max(1, _MOST // self._each)
        while tick < self._ticks and not self._over.is_set():
            time.sleep(max(0.0, started + tick * TICK - time.monotonic()))
            now = time.monotonic()
            meanwhile = int((now - started) / TICK) + 1 - tick
            lots = [self._people(self._each) for _ in range(max(1, min(meanwhile, most)))]
            lots = lots[: self._ticks - tick]
            self._sealed.change([people for lot in lots for people in lot])
            self.due += [(started + (tick + n) * TICK, now, lot) for n, lot in enumerate(lots)]
            tick += len(lots)
            self.changed += len(lots) * self._each
        self.took = max(tick * TICK, time.monotonic() - started)

    def end(self) -> None:
        """No further changes."""
        self._over.set()
        self.join()

    def told(self) -> dict[str, Any]:
        """What was asked for, what came of it, and how late the commits began."""
        first = [self.due[0], *(two for one, two in pairwise(self.due) if one[1] != two[1])]
        late = spread([max(0.0, begun - due) for due, begun, _ in first])
        return {
            "changes_per_s": round(self._each / TICK),
            "achieved_per_s": round(self.changed / self.took),
            "loader_late_p99_ms": late["p99_ms"],
        }


def turns(people: int) -> Callable[[int], list[range]]:
    """Gives so many people each time it is called, one after the other and round again."""
    at = 0

    def some(count: int) -> list[range]:
        nonlocal at
        found = list[range]()
        while count > 0:
            found.append(range(at, min(at + count, people)))
            count -= len(found[-1])
            at = found[-1].stop % people
        return found

    return some


class Reader(threading.Thread):
    """Reads a share from its end on; `read` is when it had which keys."""

    def __init__(self, broker: Broker, share: Share) -> None:
        super().__init__(daemon=True)
        self.read: list[tuple[float, Sequence[bytes]]] = []
        self.records = 0
        self._over = threading.Event()
        self._broker, self._share = broker, share
        self._log = broker.log
        partitions = broker.log.topics()[share.topic]
        self._offsets = [broker.log.end(share.topic, number) for number in range(partitions)]

    def run(self) -> None:
        """Until it is ended, and has read what was there then."""
        seen, last = self._log.changes(), False
        while not last:
            last = self._over.is_set()
            if not any([self._page(number) for number in range(len(self._offsets))]):
                seen = self._log.wait(seen, 0.05)

    def _page(self, number: int) -> bool:
        page = self._log.page(self._share.topic, number, self._offsets[number], _PAGE)
        if page.keys:
            self.read.append((time.monotonic(), page.keys))
            self.records += len(page.keys)
            self._offsets[number] = page.offsets[-1] + 1
        return bool(page.keys)

    def end(self) -> None:
        """Once everything that was collected has been relayed, and read."""
        until(partial(is_relayed, self._broker), _PATIENCE)
        self._over.set()
        self.join()

    def delays(
        self, sealed: Sealed, due: Sequence[tuple[float, float, list[range]]]
    ) -> Iterator[tuple[float, float | None]]:
        """Of each change when it was due, and its delay; None where it was never read. What was
        due again before it was read is left out."""
        keys = sealed.share_keys(self._broker, self._share)
        waiting: dict[bytes, float] = {}
        at = 0
        for moment, begun, people in due:
            while at < len(self.read) and self.read[at][0] < begun:
                yield from _met(waiting, *self.read[at])
                at += 1
            for number in chain.from_iterable(people):
                waiting.setdefault(keys[number], moment)
        for read in self.read[at:]:
            yield from _met(waiting, *read)
        for moment in waiting.values():
            yield moment, None


def _met(
    waiting: dict[bytes, float], at: float, keys: Sequence[bytes]
) -> Iterator[tuple[float, float]]:
    for key in keys:
        if (moment := waiting.pop(key, None)) is not None:
            yield moment, at - moment


def told(found: Sequence[float | None]) -> dict[str, Any]:
    """The delays as figures, with what was never read."""
    took = [one for one in found if one is not None]
    missing = {"not_read": len(found) - len(took)}
    return spread(took) | (missing if missing["not_read"] else {})


def is_relayed(broker: Broker) -> bool:
    """Whether everything that was collected has been relayed."""
    dataset = broker.catalog.dataset(DATASET)
    behind, places = Behind(broker.log, dataset), Places(broker.log).common(dataset)
    return not any(behind.lag(number, place)[0] for number, place in enumerate(places))


def is_live(broker: Broker, share: str) -> bool:
    """Whether it is, asked now and then."""
    time.sleep(0.1)
    return broker.sharing.share(share).state == LIVE
