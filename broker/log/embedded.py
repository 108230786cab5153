"""The embedded log: one SQLite file in WAL mode, no server.

Law: see `interface`. Offsets stand in a row of their own and never go back, not even
when records are removed. Commits are durable (`synchronous=FULL`); several threads may
use one log, one at a time; several processes may open one file.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from broker.errors import LogError, PositionMoved
from broker.log.compaction import compact
from broker.log.counts import ABORTED, COMMITTED, FENCED, Counts
from broker.log.inserting import append_runs, insert_entries, next_offset, topic_id
from broker.log.interface import DAMAGED, PAGE_BYTES, Batch, End, Entries, Page, Place, Run, Stored
from broker.log.sqlite_file import PATIENCE, open_file, translated
from broker.log.topics import must_match
from broker.log.watch import Watch
from broker.sqlite_lock import begin_writing
from broker.sqlite_options import LOG, not_given

_KEYS_A_QUERY = 500
_FEW, _MANY = 10, 250
"""Rows fetched before their size is looked at; of more at once each costs twice as much."""
_WIPE_PATIENCE = 0.2
"""Seconds to wait for readers before a wipe is put off."""
_LAST = "\U0010ffff"
"""Sorts behind every character that a position's name has."""
_BEHIND_TEXT = b"\xff"
"""The same for a key that is text in bytes."""
_WIPED_AT_ONCE = 2_000
"""Records removed in one transaction: others write in between."""


class EmbeddedLog:
    """A `Log` in the file `path`; its folder is made, readable by the owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._tables: dict[str, int] = {}
        self._counts = Counts()
        self._watch = Watch(self._state)
        self._db, self._unmoved = open_file(path)

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._path)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            begin_writing(self._db, time.monotonic() + PATIENCE)
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        self._watch.changed()

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """See `Log`."""
        known = self.topics()
        fresh = [(name, count) for name, count in topics.items() if name not in known]
        if fresh:
            with self._writing() as db:
                db.executemany(
                    "INSERT OR IGNORE INTO topic (name, partitions) VALUES (?, ?)", fresh
                )
            known = self.topics()
        must_match(known, topics)

    def delete_topic(self, name: str) -> None:
        """See `Log`."""
        with self._writing() as db:
            db.execute("DELETE FROM topic WHERE name=?", (name,))

    def wiped(self, within: float | None = None) -> bool:
        """See `Log`. A deleted topic's records still stand under its `head` rows."""
        until = None if within is None else time.monotonic() + within
        while orphan := self._orphan():
            if until is not None and time.monotonic() >= until:
                return False
            with self._writing() as db:
                rows = db.execute(
                    "SELECT offset FROM record WHERE topic=? AND partition=?"
                    " ORDER BY offset LIMIT 1 OFFSET ?",
                    (*orphan, _WIPED_AT_ONCE),
                ).fetchone()
                upto = rows[0] if rows else 1 << 62
                db.execute(
                    "DELETE FROM record WHERE topic=? AND partition=? AND offset<?",
                    (*orphan, upto),
                )
                if rows is None:
                    db.execute("DELETE FROM head WHERE topic=? AND partition=?", orphan)
        with self._lock, self._translated():
            self._db.execute(f"PRAGMA busy_timeout={int(_WIPE_PATIENCE * 1000)}")
            try:
                busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                self._db.execute(f"PRAGMA busy_timeout={int(PATIENCE * 1000)}")
        return not busy

    def compact(self, topic: str, partition: int, upto: int | None, tombstones_before: int) -> int:
        """See `Log`."""
        return compact(self, topic, partition, upto, tombstones_before)

    def old_tombstones(self, topic: str, partition: int, before: int) -> set[int]:
        """Offsets of tombstones written before that time."""
        with self._lock, self._translated():
            number = topic_id(self._db, topic, partition)
            rows = self._db.execute(
                "SELECT offset FROM record"
                " WHERE topic=? AND partition=? AND value IS NULL AND timestamp<?",
                (number, partition, before),
            ).fetchall()
        return {row[0] for row in rows}

    def remove(self, topic: str, partition: int, offsets: Sequence[int]) -> None:
        """Remove records; their offsets are never given again."""
        with self._writing() as db:
            number = topic_id(db, topic, partition)
            db.executemany(
                "DELETE FROM record WHERE topic=? AND partition=? AND offset=?",
                ((number, partition, offset) for offset in offsets),
            )

    def _orphan(self) -> tuple[int, int] | None:
        with self._lock, self._translated():
            found: tuple[int, int] | None = self._db.execute(
                "SELECT topic, partition FROM head"
                " WHERE NOT EXISTS (SELECT 1 FROM topic WHERE topic.id = head.topic) LIMIT 1"
            ).fetchone()
        return found

    def end_quiet(self, ends: Mapping[tuple[str, int], int]) -> None:
        """See `Log`."""

    def topics(self) -> Mapping[str, int]:
        """See `Log`."""
        with self._lock, self._translated():
            return dict(self._db.execute("SELECT name, partitions FROM topic").fetchall())

    def there(self, topics: Iterable[str]) -> frozenset[str]:
        """See `Log`."""
        return frozenset(topics) & self.topics().keys()

    def check(self, topic: str, partitions: int) -> None:
        """See `Log`: nobody else sets anything here."""

    def commit(self, batch: Batch) -> None:
        """See `Log`."""
        try:
            self._commit(batch)
        except PositionMoved:
            self._counts.one(FENCED)
            raise
        except LogError:
            self._counts.one(ABORTED)
            raise
        self._counts.one(COMMITTED)

    def _commit(self, batch: Batch) -> None:
        with self._writing() as db:
            for move in batch.positions:
                row = db.execute("SELECT value FROM position WHERE name=?", (move.name,)).fetchone()
                if (row[0] if row else None) != move.expected:
                    raise PositionMoved(
                        f"position {move.name} was moved by another writer",
                        mend="read it again and start from there",
                    )
                if move.value is None:
                    db.execute("DELETE FROM position WHERE name=?", (move.name,))
                    continue
                db.execute(
                    "INSERT OR REPLACE INTO position (name, value) VALUES (?, ?)",
                    (move.name, move.value),
                )
            self._append(db, batch.all_runs())
            self._write_tables(db, batch.all_entries())

    def owns(self, topic: str, partition: int) -> bool:
        """See `Log`: whoever commits first is first."""
        return True

    def _append(self, db: sqlite3.Connection, runs: Sequence[Run]) -> None:
        append_runs(db, runs, time.time_ns() // 1_000_000)

    def _write_tables(self, db: sqlite3.Connection, entries: Sequence[Entries]) -> None:
        for table, partition, values in entries:
            db.execute("INSERT OR IGNORE INTO tables (name) VALUES (?)", (table,))
            (tab,) = db.execute("SELECT id FROM tables WHERE name=?", (table,)).fetchone()
            kept = [(key, value) for key, value in values.items() if value is not None]
            insert_entries(db, (tab, partition), kept)
            db.executemany(
                "DELETE FROM entry WHERE tab=? AND partition=? AND key=?",
                ((tab, partition, key) for key, value in values.items() if value is None),
            )

    def read(self, topic: str, partition: int, offset: int, limit: int) -> Sequence[Stored]:
        """See `Log`."""
        with self._lock, self._translated():
            number = topic_id(self._db, topic, partition)
            rows = self._db.execute(
                "SELECT offset, key, value, timestamp FROM record"
                " WHERE topic=? AND partition=? AND offset>=? ORDER BY offset LIMIT ?",
                (number, partition, offset, limit),
            ).fetchall()
        return list(map(Stored._make, rows))

    def page(self, topic: str, partition: int, offset: int, limit: int) -> Page:
        """See `Log`."""
        with self._lock, self._translated():
            number = topic_id(self._db, topic, partition)
            found = self._db.execute(
                "SELECT offset, key, value FROM record"
                " WHERE topic=? AND partition=? AND offset>=? ORDER BY offset LIMIT ?",
                (number, partition, offset, limit),
            )
            offsets, keys, values = list[int](), list[bytes](), list[bytes | None]()
            size, more = 0, _FEW
            while size < PAGE_BYTES and (rows := found.fetchmany(more)):
                some = Page(*zip(*rows, strict=True))
                offsets += some.offsets
                keys += some.keys
                values += some.values
                size += sum(map(len, filter(None, some.values)))
                fitting = (PAGE_BYTES - size) * len(keys) // (size + 1)
                more = max(_FEW, min(fitting, _MANY))
            found.close()
        return Page(offsets, keys, values)

    def pages(self, ranges: Mapping[Place, tuple[int, int]]) -> Mapping[Place, Page]:
        """See `Log`: one after the other is as quick."""
        return {}

    def keys(
        self, topic: str, partition: int, offset: int, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """See `Log`."""
        with self._lock, self._translated():
            number = topic_id(self._db, topic, partition)
            return self._db.execute(
                "SELECT offset, key FROM record"
                " WHERE topic=? AND partition=? AND offset>=? ORDER BY offset LIMIT ?",
                (number, partition, offset, limit),
            ).fetchall()

    def end(self, topic: str, partition: int) -> int:
        """See `Log`."""
        with self._lock, self._translated():
            return next_offset(self._db, topic_id(self._db, topic, partition), partition)

    def ends(self, places: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], End]:
        """See `Log`."""
        wanted = list(places)
        with self._lock, self._translated():
            known = dict(self._db.execute("SELECT name, id FROM topic").fetchall())
            return {
                (name, partition): End(next_offset(self._db, known[name], partition), False)
                for name, partition in wanted
                if name in known
            }

    def position(self, name: str) -> bytes | None:
        """See `Log`."""
        with self._lock, self._translated():
            row = self._db.execute("SELECT value FROM position WHERE name=?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def positions(self, prefix: str) -> Mapping[str, bytes]:
        """See `Log`."""
        with self._lock, self._translated():
            rows = self._db.execute(
                "SELECT name, value FROM position WHERE name>=? AND name<? ORDER BY name",
                (prefix, prefix + _LAST),
            ).fetchall()
        return dict(rows)

    def forget(self, prefix: str) -> None:
        """See `Log`."""
        with self._writing() as db:
            db.execute("DELETE FROM position WHERE name>=? AND name<?", (prefix, prefix + _LAST))

    def changes(self) -> int:
        """See `Log`."""
        return self._watch.changes()

    def wait(self, seen: int, timeout: float) -> int:
        """See `Log`."""
        return self._watch.wait(seen, timeout)

    def _state(self) -> int:
        """A number that differs when another process has committed."""
        with self._lock, self._translated():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def entries(self, table: str, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """See `Log`."""
        wanted = list(keys)
        found: dict[bytes, bytes] = {}
        with self._lock, self._translated():
            table_id = self._table(table)
            if table_id is None:
                return found
            for start in range(0, len(wanted), _KEYS_A_QUERY):
                page = wanted[start : start + _KEYS_A_QUERY]
                marks = ",".join("?" * len(page))
                found.update(
                    self._db.execute(
                        "SELECT key, value FROM entry WHERE tab=? AND partition=?"
                        f" AND key IN ({marks})",
                        (table_id, partition, *page),
                    ).fetchall()
                )
        return found

    def scan(
        self, table: str, partition: int, after: bytes, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        """See `Log`."""
        with self._lock, self._translated():
            table_id = self._table(table)
            if table_id is None:
                return []
            return self._db.execute(
                "SELECT key, value FROM entry WHERE tab=? AND partition=? AND key>?"
                " ORDER BY key LIMIT ?",
                (table_id, partition, after, limit),
            ).fetchall()

    def starting(self, table: str, partitions: int, prefix: bytes) -> Sequence[tuple[bytes, bytes]]:
        """Entries of all partitions whose key, which is text, starts so, in key order."""
        with self._lock, self._translated():
            table_id = self._table(table)
            if table_id is None:
                return []
            numbers = ",".join(map(str, range(partitions)))
            return self._db.execute(
                f"SELECT key, value FROM entry WHERE tab=? AND partition IN ({numbers})"
                " AND key>=? AND key<? ORDER BY key",
                (table_id, prefix, prefix + _BEHIND_TEXT),
            ).fetchall()

    def _table(self, name: str) -> int | None:
        if name not in self._tables:
            row = self._db.execute("SELECT id FROM tables WHERE name=?", (name,)).fetchone()
            if row is None:
                return None
            self._tables[name] = row[0]
        return self._tables[name]

    def show(self, reached: Mapping[str, Mapping[tuple[str, int], int]]) -> None:
        """See `Log`: there are no other tools."""

    def counts(self) -> Mapping[str, int]:
        """See `Log`."""
        return self._counts.all()

    def faults(self) -> list[str]:
        """See `Log`: SQLite's own check; its words name pages, never contents."""
        with self._lock, self._translated():
            found = self._db.execute("PRAGMA quick_check(5)").fetchall()
            options = not_given(LOG, lambda name: self._db.execute(f"PRAGMA {name}").fetchone()[0])
        return options if found == [("ok",)] else [DAMAGED, *options]

    def confirm(self) -> None:
        """See `Log`."""
        self._unmoved.confirm()

    def close(self) -> None:
        """See `Log`."""
        self._watch.close()
        with self._lock:
            self._db.close()
