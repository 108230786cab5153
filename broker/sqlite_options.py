"""What the product asks of SQLite, and whether it was given.

Law: SQLite passes over in silence what it cannot do; so what was asked for is read back.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing

OLDEST = (3, 35)
"""The oldest SQLite that will do."""

LACKING = {
    "THREADSAFE=0": "it is built for one thread",
    "OMIT_WAL": "it has no WAL mode",
    "OMIT_FOREIGN_KEY": "it checks no foreign keys",
    "OMIT_TRIGGER": "it has no triggers",
    "OMIT_INTEGRITY_CHECK": "it cannot check its pages",
    "OMIT_PRAGMA": "it cannot be asked how it works",
    "OMIT_FLAG_PRAGMAS": "it cannot be told how to work",
}
"""Options of a build that will not do, and why."""

Asked = Mapping[str, str | int]
"""Pragmas and what they have to say."""

LOG: Asked = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
"""Of the log: commits last, and what is removed is overwritten."""

STORE: Asked = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
"""Of the control store."""


def build_faults() -> list[str]:
    """What is wrong with the SQLite that this Python has."""
    version = ".".join(map(str, OLDEST))
    faults = [] if sqlite3.sqlite_version_info >= OLDEST else [f"it is older than {version}"]
    return faults + [why for option, why in LACKING.items() if option in compiled()]


def compiled() -> set[str]:
    """The options that it was built with."""
    with closing(sqlite3.connect(":memory:")) as db:
        return {row[0] for row in db.execute("PRAGMA compile_options")}


def not_given(asked: Asked, pragma: Callable[[str], object]) -> list[str]:
    """What an open database does not have of what was asked for; `pragma` says what it has."""
    found = {name: pragma(name) for name in asked}
    return [f"{name} is {found[name]}, not {want}" for name, want in asked.items()
            if found[name] != want]  # fmt: skip
