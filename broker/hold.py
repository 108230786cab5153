"""A hold on something of which one process at a time may have the work: a lock file.

Law: the operating system ends a hold with its process, however that ends; a hold saves
double work and is never what correctness rests on. The file says who had it last.
"""

import fcntl
import os
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
