"""Records and entries into the embedded log's file: many rows a statement, as a row costs a third
less so than by itself.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, repeat
from typing import Any

from broker.errors import UnknownTopic
from broker.log.interface import Run

_ROWS = 100
_MANY = 100
"""More topics than this are asked for all at once."""

_RECORDS = (
    "INSERT INTO record SELECT ?1, ?2, ?3 + column1, column2, column3, ?4 FROM (VALUES "
    + ", ".join(f"({row}, ?{5 + 2 * row}, ?{6 + 2 * row})" for row in range(_ROWS))
    + ")"
)
_ENTRIES = (
    "INSERT OR REPLACE INTO entry SELECT ?1, ?2, column1, column2 FROM (VALUES "
    + ", ".join(f"(?{3 + 2 * row}, ?{4 + 2 * row})" for row in range(_ROWS))
    + ")"
)


Found = tuple[int, int, int, Sequence[bytes], Sequence[bytes | None]]
"""A topic's id and a partition, an offset, and the records from there on."""


def topic_id(db: sqlite3.Connection, name: str, partition: int) -> int:
    """The topic's id; `UnknownTopic` where it has no such partition."""
    return _id(known_topics(db, {name}), name, partition)


def next_offset(db: sqlite3.Connection, topic: int, partition: int) -> int:
    """The offset of the partition's next record."""
    query = "SELECT next FROM head WHERE topic=? AND partition=?"
    row = db.execute(query, (topic, partition)).fetchone()
    return int(row[0]) if row else 0


def known_topics(db: sqlite3.Connection, names: set[str]) -> dict[str, tuple[int, int]]:
    """Id and number of partitions of these topics, as far as they are there."""
    if len(names) > _MANY:
        rows = db.execute("SELECT name, id, partitions FROM topic").fetchall()
    else:
        marks = ", ".join("?" * len(names))
        query = f"SELECT name, id, partitions FROM topic WHERE name IN ({marks})"
        rows = db.execute(query, [*names]).fetchall()
    return {name: (topic, partitions) for name, topic, partitions in rows}


def append_runs(db: sqlite3.Connection, runs: Sequence[Run], now: int) -> None:
    """Append records, in the order in which they are given."""
    known = known_topics(db, {run.topic for run in runs})
    heads: dict[tuple[int, int], int] = {}
    found: list[Found] = []
    for name, partition, keys, values in runs:
        place = _id(known, name, partition), partition
        if place not in heads:
            heads[place] = next_offset(db, *place)
        found.append((*place, heads[place], keys, values))
        heads[place] += len(keys)
    insert_records(db, found, now)
    db.executemany(
        "INSERT OR REPLACE INTO head VALUES (?, ?, ?)",
        ((*place, offset) for place, offset in heads.items()),
    )


def _id(known: Mapping[str, tuple[int, int]], name: str, partition: int) -> int:
    topic, partitions = known.get(name, (0, 0))
    if not 0 <= partition < partitions:
        raise UnknownTopic(f"there is no partition {partition} of topic {name}")
    return topic


def insert_records(db: sqlite3.Connection, runs: Sequence[Found], now: int) -> None:
    """Records of many partitions."""
    db.executemany(_RECORDS, (row for run in runs for row in _whole(run, now)))
    db.executemany(
        "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)",
        chain.from_iterable(_rest(run, now) for run in runs),
    )


def _whole(run: Found, now: int) -> Iterator[tuple[Any, ...]]:
    """As many rows a statement as go into one."""
    topic, partition, start, keys, values = run
    for at in range(0, len(keys) - len(keys) % _ROWS, _ROWS):
        some = slice(at, at + _ROWS)
        yield (topic, partition, start + at, now, *_flat(keys[some], values[some]))


def _rest(run: Found, now: int) -> Iterable[tuple[Any, ...]]:
    """The others, one by one."""
    topic, partition, start, keys, values = run
    at = len(keys) - len(keys) % _ROWS
    return zip(
        repeat(topic), repeat(partition), count(start + at), keys[at:], values[at:], repeat(now)
    )


def insert_entries(
    db: sqlite3.Connection, place: tuple[int, int], entries: Sequence[tuple[bytes, bytes]]
) -> None:
    """Entries of a table's partition, over what stands there."""
    whole = len(entries) - len(entries) % _ROWS
    db.executemany(
        _ENTRIES,
        ((*place, *chain.from_iterable(entries[at : at + _ROWS])) for at in range(0, whole, _ROWS)),
    )
    db.executemany(
        "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)",
        ((*place, key, value) for key, value in entries[whole:]),
    )


def _flat(keys: Iterable[bytes], values: Iterable[bytes | None]) -> Iterator[bytes | None]:
    return chain.from_iterable(zip(keys, values, strict=True))
