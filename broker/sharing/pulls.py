"""What left over HTTP: who, which share, from where to where, when.

Law: written before the batch leaves, and never changed after (the database refuses it);
what cannot be recorded does not leave. 《政务数据共享条例》 article 29: usage records are
kept for at least three years.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select

from broker.store.engine import Store
from broker.store.tables import pull as table


@dataclass(frozen=True, slots=True)
class Pull:
    """One batch that left. `kind` is records, snapshot or events; positions are the next
    offset by partition, before and after; `at` is ISO 8601 in UTC."""

    consumer: str
    api_key: str
    dataset: str
    share: str
    kind: str
    position_from: Sequence[int]
    position_to: Sequence[int]
    records: int
    at: str = ""


class Pulls:
    """The record over one control store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, pull: Pull) -> None:
        """Note a batch that is about to leave; `at` is now."""
        with self._store.writing() as connection:
            connection.execute(
                insert(table).values(
                    at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                    consumer=pull.consumer,
                    api_key=pull.api_key,
                    dataset=pull.dataset,
                    share=pull.share,
                    kind=pull.kind,
                    position_from=list(pull.position_from),
                    position_to=list(pull.position_to),
                    records=pull.records,
                )
            )

    def newest(self, limit: int, consumer: str = "") -> list[Pull]:
        """The newest pulls, of one consumer or of all, newest first."""
        columns = [table.c[name] for name in Pull.__slots__]
        query = select(*columns).order_by(table.c.sequence.desc()).limit(limit)
        if consumer:
            query = query.where(table.c.consumer == consumer)
        with self._store.reading() as connection:
            return [Pull(**row) for row in connection.execute(query).mappings()]
