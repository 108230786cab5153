"""A table or view of a department's database, read through SQLAlchemy.

Law: rows come in the order of (cursor, key) up to the database's own clock minus the
settle delay, and each start reads back over the overlap window, so a row that was
committed late is met. A page never ends inside a group of equal (cursor, key), or of equal
keys where the table is read whole; keys are compared without case and outer blanks, as the
converter reads them. Rows that have no place in that order (a NULL cursor or key, a cursor in
the future or not written as agreed) are handed over as faults, never passed over.

Position: the highest cursor of the rows handed over; a start reads from the overlap
window before it. With `key_diff` also since when the table has not been read whole, in the
order of its keys; that is done every `compare`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    String,
    Table,
    and_,
    cast,
    create_engine,
    event,
    func,
    inspect,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from broker.errors import SourceError
from broker.model import Dataset, Item, Kind
from broker.pseudonym import keyed_hash
from connectors.mapping import Mapping
from connectors.names import column_difference
from connectors.source import Fault, Row, RowBatch, Whole, value_fault

_FUTURE = timedelta(days=1)
_DIRECTIVE = re.compile(r"%.")
_WIDTHS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%y": 2, "%j": 3, "%f": 6}
"""Digits of the parts of a time; what has no fixed number of digits is not here."""


class SqlTable:
    """One table as a `Source`. `secret` keys the hash that names a row in messages."""

    def __init__(
        self,
        mapping: Mapping,
        dataset: Dataset,
        *,
        settle: timedelta,
        overlap: timedelta,
        secret: bytes,
    ) -> None:
        self.name = mapping.name
        self._mapping = mapping
        self._settle = settle
        self._overlap = overlap
        self._secret = secret
        self._engine: Engine | None = None
        self._table = Table(mapping.table, MetaData(), *(Column(name) for name in mapping.expected))
        self._cursor = self._table.c[mapping.cursor]
        self._keys = tuple(self._table.c[mapping.column_of(name)] for name in dataset.primary_key)
        self._order: tuple[ColumnElement[Any], ...] = (
            self._cursor,
            *(
                _comparable(self._table.c[mapping.column_of(name)], dataset.by_name[name])
                for name in dataset.primary_key
            ),
        )

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

    def behind(self, after: bytes | None) -> int:
        """See `Source`."""
        high = _Position.read(after).high
        query = select(func.count()).select_from(self._table)
        if high is not None:
            query = query.where(self._cursor > self._written(high))
        with self._connected() as connection:
            return connection.execute(query).scalar() or 0

    def batches(self, after: bytes | None, limit: int, again: bool = False) -> Iterator[RowBatch]:
        """See `Source`."""
        position = _Position.read(after)
        with self._connected() as connection:
            now = _clock(connection)
            position = replace(position, compared=position.compared or now)
            compares = self._mapping.deletes == "key_diff"
            due = now - (position.compared or now) >= self._mapping.compare
            if compares and (again or due):
                yield from self._everything(connection, now, position, limit)
                return
            whole = Whole(last=False, deletes=False) if again else None
            if again:
                position = replace(position, high=None)
            for page in self._new(connection, now, position, limit):
                position = page[1]
                yield RowBatch(page[0], position.write(), whole=whole)
            yield from self._unplaced(connection, now, position, limit, whole)
            if again:
                yield RowBatch([], position.write(), whole=Whole(last=True, deletes=False))

    def _new(
        self, connection: Connection, now: datetime, position: "_Position", limit: int
    ) -> Iterator[tuple[list[Row], "_Position"]]:
        """Rows in the order of (cursor, key), from the overlap window on."""
        upper = self._written(now - self._settle)
        high = position.high
        last = None if high is None else [self._written(_earlier(high, self._overlap))]
        group = slice(0, len(self._order))
        while page := self._page(
            connection, self._order, last, limit, group, self._cursor <= upper
        ):
            last = list(page[-1][: len(self._order)])
            reached = self._read_cursor(last[0])
            high = max(filter(None, (high, reached)), default=None)
            yield [self._row(one) for one in page], replace(position, high=high)

    def _everything(
        self, connection: Connection, now: datetime, position: "_Position", limit: int
    ) -> Iterator[RowBatch]:
        """Every row in the order of the keys; whose key is not met is gone."""
        whole = Whole(last=False, deletes=True)
        order = (*self._order[1:], self._cursor)
        past = self._cursor <= self._written(now + _FUTURE)
        last: list[Any] | None = None
        key = slice(1, len(order))
        while page := self._page(connection, order, last, limit, key, past):
            last = [*page[-1][1 : len(order)], page[-1][0]]
            yield RowBatch([self._row(one) for one in page], position.write(), whole=whole)
        yield from self._unplaced(connection, now, position, limit, whole)
        done = replace(position, compared=now)
        yield RowBatch([], done.write(), whole=Whole(last=True, deletes=True))

    def _page(
        self,
        connection: Connection,
        order: Sequence[ColumnElement[Any]],
        last: list[Any] | None,
        limit: int,
        group: slice,
        *where: ColumnElement[bool],
    ) -> list[Sequence[Any]]:
        """The next rows in that order. The last group, of rows that are equal in that part of
        (cursor, key), is whole."""
        placed = [*(column.is_not(None) for column in self._keys), *self._formed(True)]
        query = self._query().where(self._cursor.is_not(None), *where, *placed).order_by(*order)
        following = query if last is None else query.where(_after(order[: len(last)], last))
        rows: list[Sequence[Any]] = list(connection.execute(following.limit(limit)).all())
        if len(rows) < limit:
            return rows
        values = rows[-1][group]
        rows = [row for row in rows if row[group] != values]
        same = [
            column == _bound(value)
            for column, value in zip(self._order[group], values, strict=True)
        ]
        rows.extend(connection.execute(query.where(*same)).all())
        return rows

    def _unplaced(
        self,
        connection: Connection,
        now: datetime,
        position: "_Position",
        limit: int,
        whole: Whole | None,
    ) -> Iterator[RowBatch]:
        """Rows that the order does not reach."""
        missing = [column.is_(None) for column in (self._cursor, *self._keys)]
        future = self._cursor > self._written(now + _FUTURE)
        astray = or_(*missing, future, *self._formed(False))
        result = connection.execute(self._query().where(astray).execution_options(yield_per=limit))
        for part in result.partitions():
            rows = [self._misplaced(self._row(one)) for one in part]
            yield RowBatch(rows, position.write(), whole=whole)

    def _misplaced(self, row: Row) -> Row:
        cursor = self._cursor.name
        if row.cells[cursor] is None:
            fault = Fault("null_cursor", cursor, "fill in the time of change")
        elif any(row.cells[column.name] is None for column in self._keys):
            fault = Fault("missing_mandatory", "", "fill in the key")
        elif self._read_cursor(row.cells[cursor]) is None:
            form = self._mapping.cursor_format or "a time"
            fault = value_fault(cursor, row.cells[cursor]) or Fault(
                "malformed_cursor", cursor, f"write the time of change as {form}"
            )
        else:
            fault = Fault("cursor_in_future", cursor, "mend the time of change")
        return replace(row, fault=fault)

    def _formed(self, well: bool) -> list[ColumnElement[bool]]:
        """That the cursor is written as agreed, or that it is not; nothing where no form is
        agreed, or its length may vary: what is written otherwise has no place in the order."""
        pattern = _like(self._mapping.cursor_format)
        if not pattern:
            return []
        return [self._cursor.like(pattern) if well else self._cursor.not_like(pattern)]

    def _query(self) -> Select[Any]:
        """What a row is ordered by, then every column."""
        return select(*self._order, *self._table.c)

    def _row(self, values: Sequence[Any]) -> Row:
        columns = [column.name for column in self._table.c]
        cells = dict(zip(columns, values[len(self._order) :], strict=True))
        raw = json.dumps(cells, default=str).encode()
        pseudonym = keyed_hash(self._secret, raw).hex()[:12]
        return Row(
            f"{self._mapping.table} row {pseudonym}",
            cells,
            raw,
            deleted=self._mapping.is_deleted(cells),
            id=self._mapping.id_of(cells),
        )

    def _written(self, moment: datetime) -> Any:
        """A moment as the cursor column writes it, in the source's zone."""
        try:
            local = moment.astimezone(self._mapping.zone)
        except OverflowError:  # at the beginning of all time
            local = moment
        form = self._mapping.cursor_format
        if not form:
            return local.replace(tzinfo=None)
        year = f"{local.year:04}"  # strftime would not fill it up
        return local.strftime(_DIRECTIVE.sub(lambda one: _filled(one.group(), year), form))

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
            if self._engine is None:
                self._engine = _engine(self._mapping.url)
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, ImportError):
            raise SourceError(
                "the database cannot be read",
                where=self.name,
                mend="check that it runs, its address, and the right to read the table",
            ) from None


def _engine(url: str) -> Engine:
    try:
        engine = create_engine(url, poolclass=NullPool)  # no connection is kept at the source
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


def _like(form: str) -> str:
    """The LIKE pattern of a time form whose parts have a fixed width; empty for another."""
    if not form or "_" in _DIRECTIVE.sub("", form):
        return ""
    widths = [_WIDTHS.get(found) for found in _DIRECTIVE.findall(form)]
    if None in widths:
        return ""
    return _DIRECTIVE.sub(lambda found: "_" * _WIDTHS[found.group()], form)


def _filled(directive: str, year: str) -> str:
    return year if directive == "%Y" else directive


def _earlier(moment: datetime, window: timedelta) -> datetime:
    """So much earlier, but never before the beginning of all time."""
    try:
        return moment - window
    except OverflowError:
        return datetime.min.replace(tzinfo=moment.tzinfo)


def _comparable(column: ColumnElement[Any], item: Item) -> ColumnElement[Any]:
    """A key column as it is ordered and compared: two spellings of a key are one."""
    if item.kind is Kind.CITIZEN_ID:
        return func.upper(func.trim(cast(column, String)))
    return func.trim(cast(column, String)) if item.logical == "string" else column


def _after(columns: Sequence[ColumnElement[Any]], values: list[Any]) -> ColumnElement[bool]:
    """Lexicographically greater; on the cursor alone, greater or equal."""
    bound = [_bound(value) for value in values]
    if len(columns) == 1:
        reached: ColumnElement[bool] = columns[0] >= bound[0]
        return reached
    steps = [
        and_(*(columns[i] == bound[i] for i in range(index)), column > bound[index])
        for index, column in enumerate(columns)
    ]
    return or_(*steps)


def _bound(value: Any) -> Any:
    """A value that was read, to compare with: text that is not UTF-8 goes back as its bytes."""
    if isinstance(value, str) and not value.isascii():
        data = value.encode("utf-8", "surrogateescape")
        if data.decode("utf-8", "replace") != value:
            return cast(literal(data), String)
    return value


@dataclass(frozen=True, slots=True)
class _Position:
    """The highest cursor handed over, and when the table was last read whole."""

    high: datetime | None = None
    compared: datetime | None = None

    def write(self) -> bytes:
        """As the runner keeps it."""
        both = {"high": self.high, "compared": self.compared}
        return json.dumps({name: one and one.isoformat() for name, one in both.items()}).encode()

    @classmethod
    def read(cls, position: bytes | None) -> "_Position":
        """From what the runner kept; the beginning where that is nothing."""
        kept = json.loads(position) if position else {}
        moments = (kept.get("high"), kept.get("compared"))
        return cls(*(datetime.fromisoformat(one) if one else None for one in moments))
