"""The control store in a file: how SQLite is told to work, and how writers take turns.

Law: a commit lasts, and what cannot be had within the patience is an error.
"""

import sqlite3
from typing import Any, cast

from sqlalchemy import Connection

from broker.sqlite_lock import begin_writing

WRITING = "shuqiao_writing"
"""The option of a connection that writes: until when it waits for its lock."""


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
    file = connection.connection.dbapi_connection
    begin_writing(cast(sqlite3.Connection, file), until)
