"""The control store in a file: how SQLite is told to work, and how writers take turns.

Law: a commit lasts, and what cannot be had within the patience is an error.
"""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

WRITING = "shuqiao_writing"
"""The option of a connection that writes: until when it waits for its lock."""

_POLL = 0.001
"""Seconds between two tries for SQLite's write lock. SQLite itself tries ten times a second,
and is starved where many write: what leaves over HTTP is recorded batch by batch."""


def on_connect(connection: Any, _record: Any) -> None:
    """Tell a new connection how to work."""
    connection.isolation_level = None  # transactions begin where we say, see `on_begin`
    connection.execute("PRAGMA busy_timeout=30000")  # first: what follows may meet others
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def on_begin(connection: Connection) -> None:
    """Begin a transaction: one that writes waits for its lock."""
    until = connection.get_execution_options().get(WRITING)
    if until is None:
        connection.exec_driver_sql("BEGIN")
        return
    patience = int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_POLL)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={patience}")
