"""Who is at work in a state folder: lock files.

A hold is on something of which one process at a time may have the work; presence is that of
every process that works in the folder at all.

Law: the operating system ends a hold with its process, however that ends; a hold saves
double work and is never what correctness rests on. The file says who had it last.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.errors import SettingsError
from broker.private_file import open_private


class Hold:
    """A hold by the name of a file in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.lock"
        self._handle: int | None = None

    def taken(self) -> bool:
        """Whether the hold is ours; takes it where nobody has it."""
        if self._handle is not None:
            return True
        handle = open_private(self._path, os.O_RDWR, SettingsError, "a lock file")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._handle = handle
        return True

    def elsewhere(self) -> bool:
        """Whether somebody has the hold; takes nothing and makes nothing."""
        try:
            handle = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def last(self) -> int:
        """The id of the process that has the hold, or had it last; 0 where nobody ever had."""
        try:
            return int(self._path.read_bytes() or b"0")
        except FileNotFoundError:
            return 0

    def release(self) -> None:
        """End the hold; nothing where it is not ours."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Presence:
    """Any number of processes are among those at work in a folder, or one is alone in it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "present.lock"

    @contextmanager
    def among(self) -> Iterator[None]:
        """At work until the block ends; `SettingsError` where somebody is alone just now."""
        what = "is just being made anew, or carried over to a cluster"
        with self._locked(fcntl.LOCK_SH, what, "try again once that has ended"):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Alone until the block ends; `SettingsError` where anybody is at work."""
        mend = "end `up`, the demo, the role or the command that runs there first"
        with self._locked(fcntl.LOCK_EX, "is at work: a process uses it", mend):
            yield

    @contextmanager
    def _locked(self, how: int, what: str, mend: str) -> Iterator[None]:
        handle = open_private(self._path, os.O_RDWR, SettingsError, "a lock file")
        try:
            try:
                fcntl.flock(handle, how | fcntl.LOCK_NB)
            except BlockingIOError:
                where = str(self._path.parent.parent)
                raise SettingsError(f"the state folder {what}", where=where, mend=mend) from None
            yield
        finally:
            os.close(handle)
