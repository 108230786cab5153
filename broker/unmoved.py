"""Whether a file that was opened is still the file of that name.

Law: a file that was deleted or put in another's place under a process is no longer the
installation's: nothing may leave from it, and whoever works on it ends. Asking costs one
look at the file's name.
"""

import os
from pathlib import Path

from broker.errors import Replaced

Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Device and number of the file of that name; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _replaced(path, f"cannot be found ({error.strerror})") from None
    return found.st_dev, found.st_ino


class Unmoved:
    """A file as it is when this is made. Make it before the file is opened: what is put in
    its place meanwhile is then noticed as well."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._identity = identity(self._path)

    def confirm(self) -> None:
        """Nothing where the file of that name is still the same; `Replaced` where not."""
        if (now := identity(self._path)) != self._identity:
            raise replaced(self._path, gone=now is None)


def replaced(path: Path, gone: bool) -> Replaced:
    """What to say of a file that is no longer the one that was opened."""
    return _replaced(path, "was deleted" if gone else "was put in another's place")


def _replaced(path: Path, what: str) -> Replaced:
    return Replaced(
        f"the file {what} while this process worked with it",
        where=str(path),
        mend="nothing leaves from the old one; start again on what is there now",
    )
