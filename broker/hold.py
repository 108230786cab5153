"""A hold on something of which one process at a time may have the work: a lock file.

Law: the operating system ends a hold with its process, however that ends; a hold saves
double work and is never what correctness rests on. The file says who had it last.
"""

import fcntl
import os
from pathlib import Path

from broker.errors import SettingsError


class Hold:
    """A hold by the name of a file in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.lock"
        self._handle: int | None = None

    def taken(self) -> bool:
        """Whether the hold is ours; takes it where nobody has it."""
        if self._handle is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SettingsError(
                f"a lock file cannot be made ({error.strerror})",
                where=str(self._path),
                mend="check the state folder and its rights",
            ) from None
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
