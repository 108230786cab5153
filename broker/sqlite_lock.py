"""Waiting for SQLite's write lock.

Law: it is tried for each millisecond. SQLite itself waits longer from try to try, up to a tenth of
a second, and whoever writes often is always there first.
"""

import sqlite3
import time
from collections.abc import Callable
from functools import partial

_POLL = 0.001


def begin_writing(db: sqlite3.Connection, until: float) -> None:
    """Begin a transaction that writes, once nobody else has one; `until` is of the monotonic
    clock."""
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout=0")
    try:
        while_busy(partial(db.execute, "BEGIN IMMEDIATE"), until, _POLL)
    finally:
        db.execute(f"PRAGMA busy_timeout={patience}")


def while_busy(work: Callable[[], object], until: float, pause: float) -> None:
    """Do it, again and again while another process is in the way."""
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > until:
                raise
        time.sleep(pause)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process is in the way."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
