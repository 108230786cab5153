"""Files that nobody but their owner may read.

Law: such a file has its mode from its first moment; where it cannot be made, the error of
its kind says so and what to do.
"""

import os
from pathlib import Path

from broker.errors import ShuQiaoError

PRIVATE = 0o600
_FOLDER = 0o700


def open_private(path: Path, flags: int, error: type[ShuQiaoError], what: str) -> int:
    """A handle on the file, which is made with its folder where it is not there; `what` names
    it in the error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
        return os.open(path, flags | os.O_CREAT, PRIVATE)
    except OSError as failed:
        raise error(
            f"{what} cannot be made ({failed.strerror})",
            where=str(path),
            mend="check the disk, the state folder and its rights",
        ) from None


def make_private(path: Path, error: type[ShuQiaoError], what: str) -> None:
    """Make the file, empty, where it is not there."""
    if not path.exists():
        os.close(open_private(path, os.O_RDWR, error, what))
