"""The file of the embedded log: its tables, how it is opened, what its errors become.

Law: the file is its owner's alone, lies on this machine, and overwrites what is removed.
The text of a database error, which may hold data, never leaves this module.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from broker.errors import LogError, LogFull
from broker.log.place import network_file_system
from broker.private_file import make_private
from broker.sqlite_lock import while_busy
from broker.unmoved import Unmoved

PATIENCE = 30.0
"""Seconds to wait for another process's commit."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topic (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS head (topic INTEGER NOT NULL, partition INTEGER NOT NULL,
  next INTEGER NOT NULL, PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (topic INTEGER NOT NULL, partition INTEGER NOT NULL,
  offset INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, timestamp INTEGER NOT NULL,
  PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS entry (tab INTEGER NOT NULL, partition INTEGER NOT NULL,
  key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, partition, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


def open_file(path: Path) -> tuple[sqlite3.Connection, Unmoved]:
    """A connection to the log's file, which is made where it is missing, and the file itself."""
    if kind := network_file_system(path):
        raise LogError(
            f"the log lies on a network file system ({kind})",
            where=str(path),
            mend="put the state folder on a disk of this machine",
        )
    make_private(path, LogError, "the log's file")
    unmoved = Unmoved(path)
    with translated(path):
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        _to_wal(db)
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA cache_size=-32768")
        db.executescript(_SCHEMA)
    return db, unmoved


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Foreign errors become ours; their text, which may hold data, is dropped."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        where = str(path)
        if code == sqlite3.SQLITE_FULL:
            raise LogFull(
                "no space left for the log", where=where, mend="free space, then run again"
            ) from None
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise LogError(
                "the log file is damaged", where=where, mend="restore it from a backup"
            ) from None
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LogError(
                "the log is locked by another process", where=where, mend="try again"
            ) from None
        raise LogError(
            f"the log cannot be used (SQLite code {code})",
            where=where,
            mend="check the disk and the file's rights",
        ) from None


def _to_wal(db: sqlite3.Connection) -> None:
    """WAL mode; while another process makes the same file, SQLite refuses without waiting."""
    work = partial(db.execute, "PRAGMA journal_mode=WAL")
    while_busy(work, time.monotonic() + PATIENCE, 0.01)
