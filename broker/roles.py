"""Roles: what a process does until it is told to stop.

Law: a role that fails says so and starts again after a pause, which grows; it never takes
another down with it, and never ends in silence. Where the files they work on are no longer
there, all end. Stopping is asked for, and waits for the step under way.
"""

import gc
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from broker.errors import ShuQiaoError
from broker.telemetry import Event, RoleFailed, RoleStarted

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0

_LOOK = 0.5
"""Seconds between two looks at whether what the roles work on is still there."""

_ALLOCATIONS = 50_000
"""Objects made and not yet gone before the youngest are looked at; a batch makes 10,000."""

_LAST_STEP = 1.0
"""Seconds that the steps under way have where it is not: nothing of them counts any more."""


class Role(Protocol):
    """One role: `connect`, `relay`, `controller`, `serve`."""

    name: str

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. An error ends this run; the role is run again."""

    def close(self) -> None:
        """Give back what it holds."""


Tell = Callable[[str, str], None]
"""Told the role's name and a message for people."""


def run_roles(
    roles: Sequence[Role],
    stop: threading.Event,
    emit: Callable[[Event], None],
    tell: Tell,
    confirm: Callable[[], None] = lambda: None,
) -> None:
    """Run the roles, each in a thread, until `stop` is set; then wait for them.

    `confirm` raises where what they work on is no longer there; then they end, and that is
    raised.
    """
    collect_seldom()
    threads = [
        threading.Thread(target=_keep, args=(role, stop, emit, tell), name=role.name, daemon=True)
        for role in roles
    ]
    for thread in threads:
        thread.start()
    try:
        while running := [thread for thread in threads if thread.is_alive()]:
            running[0].join(_LOOK)
            confirm()
    except ShuQiaoError as error:
        stop.set()
        for role in roles:
            emit(RoleFailed(role=role.name, error=type(error).__name__))
        until = time.monotonic() + _LAST_STEP
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        raise


def collect_seldom() -> None:
    """Let Python's collector of cycles look seldom, and never at what stands by now: of a batch
    everything goes by itself, and to look at it cost a tenth of the relay's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop


def _keep(role: Role, stop: threading.Event, emit: Callable[[Event], None], tell: Tell) -> None:
    pause = _FIRST_PAUSE
    emit(RoleStarted(role=role.name))
    while not stop.is_set():
        started = time.monotonic()
        try:
            role.run(stop)
        except ShuQiaoError as error:
            emit(RoleFailed(role=role.name, error=type(error).__name__))
            tell(role.name, str(error))
        except Exception as error:  # noqa: BLE001  its text may hold data: only its kind is told
            emit(RoleFailed(role=role.name, error=type(error).__name__))
            tell(role.name, f"an unforeseen {type(error).__name__}; starting again")
        if time.monotonic() - started > _LONGEST_PAUSE:
            pause = _FIRST_PAUSE  # it had worked for a while: a new trouble, not the old one
        if not stop.wait(pause):
            pause = min(pause * 2, _LONGEST_PAUSE)
    role.close()
