"""A table or view of a department's database, read through SQLAlchemy.

Law: rows come in the order of (cursor, key) up to the database's own clock minus the
settle delay, and each start reads back over the overlap window, so a row that was
committed late is met. A page never ends inside a group of equal (cursor, key). Rows
that have no place in that order (a NULL cursor or key, a cursor in the future) are
handed over as faults, never passed over.

Position: the cursor and key of the last row handed over, and the highest cursor so far.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    Table,
    and_,
    create_engine,
    event,
    func,
    inspect,
    or_,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from broker.errors import SourceError
from broker.pseudonym import keyed_hash
from connectors.files import column_difference
from connectors.mapping import Mapping
from connectors.source import Fault, Row, RowBatch

_FUTURE = timedelta(days=1)


class SqlTable:
    """One table as a `Source`. `secret` keys the hash that names a row in messages."""

    def __init__(
        self,
        mapping: Mapping,
        keys: tuple[str, ...],
        *,
        settle: timedelta,
        overlap: timedelta,
        secret: bytes,
    ) -> None:
        self.name = mapping.name
        self._mapping = mapping
        self._keys = tuple(mapping.column_of(item) for item in keys)
        self._settle = settle
        self._overlap = overlap
        self._secret = secret
        self._table = Table(mapping.table, MetaData(), *(Column(name) for name in mapping.expected))
        self._cursor = self._table.c[mapping.cursor]
        self._order = (self._cursor, *(self._table.c[name] for name in self._keys))

    def check(self) -> None:
        """See `Source`."""
        with self._connected() as connection:
            inspector = inspect(connection)
            if not (
                inspector.has_table(self._mapping.table)
                or self._mapping.table in inspector.get_view_names()
            ):
                raise SourceError(
                    f"there is no table {self._mapping.table}",
                    where=self.name,
                    mend=f"mend the source, or source.table in {self._mapping.file}",
                )
            found = [str(column["name"]) for column in inspector.get_columns(self._mapping.table)]
        difference = column_difference(found, self._mapping.expected)
        if difference:
            raise SourceError(
                f"the columns of {self._mapping.table} differ from the mapping: {difference}",
                where=self.name,
                mend=f"mend the source, or {self._mapping.file}; nothing was read",
            )

    def total(self) -> int | None:
        """See `Source`."""
        with self._connected() as connection:
            return connection.execute(select(func.count()).select_from(self._table)).scalar()

    def batches(self, after: bytes | None, limit: int) -> Iterator[RowBatch]:
        """See `Source`."""
        state = json.loads(after) if after else {"last": None, "high": None}
        with self._connected() as connection:
            now = _clock(connection)
            upper = self._written(now - self._settle)
            last, high = self._start(state["high"]), state["high"]
            while True:
                page = self._page(connection, last, upper, limit)
                if not page:
                    break
                last = [page[-1][0], *page[-1][1 : len(self._order)]]
                high = last[0] if high is None else max(high, last[0])
                yield RowBatch([self._row(one) for one in page], _position(last, high))
            if last is None:
                last = state["last"]
            yield from self._unplaced(connection, now, _position(last, high), limit)

    def _start(self, high: Any) -> list[Any] | None:
        """Where a run begins: the overlap window before the highest cursor so far."""
        if high is None:
            return None
        moment = self._read_cursor(high)
        return None if moment is None else [self._written(moment - self._overlap)]

    def _page(
        self, connection: Connection, last: list[Any] | None, upper: Any, limit: int
    ) -> list[Sequence[Any]]:
        query = self._query().where(self._cursor <= upper)
        if last is not None:
            query = query.where(_after(self._order[: len(last)], last))
        rows: list[Sequence[Any]] = list(
            connection.execute(query.order_by(*self._order).limit(limit)).all()
        )
        if len(rows) < limit:
            return rows
        width = len(self._order)
        group = rows[-1][:width]
        rows = [row for row in rows if row[:width] != group]
        whole = and_(*(column == value for column, value in zip(self._order, group, strict=True)))
        rows.extend(connection.execute(self._query().where(whole)).all())
        return rows

    def _unplaced(
        self, connection: Connection, now: datetime, position: bytes, limit: int
    ) -> Iterator[RowBatch]:
        """Rows that the order does not reach."""
        missing = [column.is_(None) for column in self._order]
        future = self._cursor > self._written(now + _FUTURE)
        result = connection.execute(
            self._query().where(or_(*missing, future)).execution_options(yield_per=limit)
        )
        for part in result.partitions():
            rows = []
            for one in part:
                row = self._row(one)
                if one[0] is None:
                    fault = Fault("null_cursor", self._cursor.name, "fill in the time of change")
                elif any(value is None for value in one[1 : len(self._order)]):
                    fault = Fault("missing_mandatory", "", "fill in the key")
                else:
                    fault = Fault("cursor_in_future", self._cursor.name, "mend the time of change")
                rows.append(Row(row.where, row.cells, row.raw, row.deleted, fault))
            yield RowBatch(rows, position)

    def _query(self) -> Select[Any]:
        rest = [column for column in self._table.c if column not in set(self._order)]
        return select(*self._order, *rest)

    def _row(self, values: Sequence[Any]) -> Row:
        names = [column.name for column in self._order]
        names += [column.name for column in self._table.c if column.name not in names]
        cells = dict(zip(names, values, strict=True))
        raw = json.dumps(cells, default=str).encode()
        pseudonym = keyed_hash(self._secret, raw).hex()[:12]
        soft = self._mapping.soft_delete
        deleted = bool(soft) and str(cells[soft]) in self._mapping.soft_delete_values
        return Row(f"{self._mapping.table} row {pseudonym}", cells, raw, deleted)

    def _written(self, moment: datetime) -> Any:
        """A moment as the cursor column writes it, in the source's zone."""
        local = moment.astimezone(self._mapping.zone)
        form = self._mapping.cursor_format
        return local.strftime(form) if form else local.replace(tzinfo=None)

    def _read_cursor(self, value: Any) -> datetime | None:
        form = self._mapping.cursor_format
        try:
            moment = datetime.strptime(value, form) if form else datetime.fromisoformat(str(value))
        except (ValueError, TypeError):
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=self._mapping.zone)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection for reading; a driver's error becomes ours and loses its text."""
        try:
            engine = _engine(self._mapping.url)
            try:
                with engine.connect() as connection:
                    yield connection
            finally:
                engine.dispose()
        except (SQLAlchemyError, ImportError):
            raise SourceError(
                "the database cannot be read",
                where=self.name,
                mend="check that it runs, its address, and the right to read the table",
            ) from None


def _engine(url: str) -> Engine:
    try:
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError):
        raise SourceError(
            "the database's address cannot be used", mend="e.g. sqlite:///people.db"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _read_any_bytes)
    return engine


def _read_any_bytes(connection: Any, _record: Any) -> None:
    """SQLite text that is not UTF-8 comes through marked, instead of ending the run."""
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")


def _clock(connection: Connection) -> datetime:
    """The database's own clock."""
    if connection.dialect.name in ("mysql", "mariadb"):
        moment = connection.execute(text("SELECT UTC_TIMESTAMP()")).scalar_one()
    else:
        moment = connection.execute(select(text("CURRENT_TIMESTAMP"))).scalar_one()
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    aware: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware


def _after(columns: Sequence[ColumnElement[Any]], values: list[Any]) -> ColumnElement[bool]:
    """Lexicographically greater; on the cursor alone, greater or equal."""
    steps: list[ColumnElement[bool]] = []
    if len(columns) == 1:
        steps.append(columns[0] >= values[0])
        return steps[0]
    for index, column in enumerate(columns):
        equal = [columns[i] == values[i] for i in range(index)]
        steps.append(and_(*equal, column > values[index]))
    return or_(*steps)


def _position(last: list[Any] | None, high: Any) -> bytes:
    def plain(value: Any) -> Any:
        if value is None or isinstance(value, (str, int)):
            return value
        if isinstance(value, datetime):
            return value.isoformat(" ")
        raise SourceError("a key column is neither text nor a whole number", mend="use a view")

    return json.dumps(
        {"last": [plain(one) for one in last] if last else None, "high": plain(high)}
    ).encode()
