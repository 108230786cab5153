"""What every number of the demo's menu works with, and how an effect is timed.

Law: a time is of something that was seen to have happened, never of something asked for.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from broker.bootstrap import Broker
from broker.cli.demo.board import newest
from broker.cli.demo.processes import Processes
from broker.cli.demo.site import Site
from broker.cli.output import OUTPUT
from broker.sharing.grants import Stored
from broker.sharing.share import LIVE, OPENING, Share
from connectors.samples.day import Day

_LOOK = 0.01
_READY = 10.0
PATIENCE = 20.0
"""Seconds that an effect is waited for."""


@dataclass
class Stage:
    """The running demo. `stop` is set when it is to end."""

    broker: Broker
    day: Day
    processes: Processes
    site: Site
    stop: threading.Event

    def now(self) -> datetime:
        """The city's time, as its departments write it."""
        return datetime.now(self.broker.settings.zone).replace(tzinfo=None)

    def live(self) -> list[tuple[Stored, Share]]:
        """The newest grants that have a share that can be read now."""
        shares = {one.id: one for one in self.broker.sharing.shares() if one.state == LIVE}
        found = newest(self.broker.sharing.grants())
        return [(one, shares[one.share]) for one in found if one.share in shares]

    def ready(self) -> None:
        """Wait until every share is open and HTTP answers, so that an effect is of what was
        done and not of a start under way."""
        until = time.monotonic() + _READY
        while time.monotonic() < until and not self.stop.is_set():
            states = {one.state for one in self.broker.sharing.shares()}
            if OPENING not in states and self.site.answers():
                return
            time.sleep(_LOOK)

    def clock(self, started: float, says: Mapping[str, Callable[[], bool]]) -> dict[str, float]:
        """Milliseconds from `started` until each says yes; what never does is left out."""
        found: dict[str, float] = {}
        until = time.monotonic() + PATIENCE
        while len(found) < len(says) and time.monotonic() < until and not self.stop.is_set():
            for name, asked in says.items():
                if name not in found and asked():
                    found[name] = (time.monotonic() - started) * 1_000
            time.sleep(_LOOK)
        return found

    def county(self, code: str) -> str:
        """A county's name."""
        division = self.broker.divisions.get(f"{code:0<12}")
        return division.name if division else code

    def village(self, code: str) -> str:
        """A village's name, after its county's and its town's."""
        return "".join(self.county(part) for part in (code[:6], code[:9], code))


def say(zh: str, en: str, sign: str = "") -> None:
    """What an effect has to say."""
    OUTPUT.say(zh, en, sign=sign, prose=True)


def told(times: Mapping[str, float], name: str) -> str:
    """A time in words; that it was not seen, where it was not."""
    if name not in times:
        return OUTPUT.text(f"{PATIENCE:.0f} 秒内未见", f"not seen within {PATIENCE:.0f} s")
    found = times[name]
    if found >= 1_000:
        return OUTPUT.text(f"{found / 1_000:.1f} 秒", f"{found / 1_000:.1f} s")
    return OUTPUT.text(f"{found:.0f} 毫秒", f"{found:.0f} ms")


def sign_of(*good: bool) -> str:
    """✓ where all is good."""
    return "✓" if all(good) else "✗"
