"""Writes the rows of a feed into SQLite, byte for byte the same for the same rows."""

import sqlite3
from pathlib import Path

from connectors.samples.mess import CELLS

_FLUSH = 5_000


class TableWriter:
    """One table of text columns in one database file; no key constraint, as in real life."""

    def __init__(self, path: Path, table: str, columns: tuple[str, ...], index: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._columns = columns
        self._rows: list[tuple[object, ...]] = []
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA synchronous=OFF")
        names = ", ".join(f"{name} TEXT" for name in columns)
        self._db.execute(f"CREATE TABLE {table} ({names})")
        self._index = f"CREATE INDEX {table}_changed ON {table} ({index})"
        marks = ", ".join("CAST(? AS TEXT)" for _ in columns)
        self._insert = f"INSERT INTO {table} VALUES ({marks})"

    def write(self, cells: CELLS) -> None:
        """Add a row; bytes stand as they are in a text column."""
        self._rows.append(tuple(cells.get(name) for name in self._columns))
        if len(self._rows) >= _FLUSH:
            self._flush()

    def close(self) -> None:
        """Write what is left, then the index."""
        self._flush()
        self._db.execute(self._index)
        self._db.close()

    def _flush(self) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(self._insert, self._rows)
        self._db.execute("COMMIT")
        self._rows.clear()
