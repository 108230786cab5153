"""The control store: a relational database, brought to its newest form when opened.

Law: migrations run inside one write transaction, so of several starting processes one
migrates and the others wait. The text of a database error never leaves this module.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from broker.errors import StoreError
from broker.private_file import make_private
from broker.sqlite_options import STORE, not_given
from broker.store import postgresql, sqlite
from broker.unmoved import Unmoved

HEAD = "0006"
"""The newest migration."""


class Store:
    """The control store; `reading` and `writing` give a connection in a transaction."""

    def __init__(self, engine: Engine, file: Unmoved | None = None) -> None:
        """`file` is the store's, where it is one."""
        self._engine = engine
        self._file = file
        self._place = engine.url.database or engine.dialect.name
        if engine.url.host:
            self._place = f"{engine.url.host}/{self._place}"
        self._in_file = engine.dialect.name == "sqlite"
        # in one process one writes after the other anyhow: the others wait without trying
        self._turn = threading.Lock() if self._in_file else None

    def __repr__(self) -> str:
        return f"Store({self._engine.dialect.name})"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state."""
        with self._translated(), self._engine.connect() as connection:
            if not self._in_file:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def number(self, query: str) -> int:
        """The number that a query gives as things stand. In a file it needs no transaction, which
        would cost ten times as much: it is asked before every batch."""
        if not self._in_file:
            with self.reading() as connection:
                return int(connection.exec_driver_sql(query).scalar_one())
        with self._translated(), closing(self._engine.raw_connection()) as connection:
            return int(connection.cursor().execute(query).fetchone()[0])

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose changes land together at the end, or not at all."""
        with self._its_turn() as until, self._translated(), self._engine.connect() as connection:
            marked = connection.execution_options(**{sqlite.WRITING: until})
            with marked.begin():
                if not self._in_file:
                    postgresql.take_turn(marked)
                yield marked

    @contextmanager
    def _its_turn(self) -> Iterator[float]:
        """Wait for one's turn; until when the store itself may be waited for, all in all no
        longer than the patience."""
        if self._turn is None:
            yield 0.0
            return
        until = time.monotonic() + self._patience
        if not self._turn.acquire(timeout=self._patience):
            raise self._unusable()
        try:
            yield until
        finally:
            self._turn.release()

    @cached_property
    def _patience(self) -> float:
        """Seconds to wait for somebody else's transaction."""
        with self._translated(), self._engine.connect() as connection:
            asked = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        return int(asked) / 1000

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error):
            raise self._unusable() from None

    def _unusable(self) -> StoreError:
        return StoreError(
            "the control store cannot be used",
            where=self._place,
            mend="check that the database runs, has room, and that its address is right",
        )

    @property
    def place(self) -> str:
        """Where it is, without a secret."""
        return self._place

    def faults(self) -> list[str]:
        """What was asked of SQLite and is not so, in words."""
        if self._turn is None:
            return []
        with self.reading() as connection:
            return not_given(
                STORE, lambda name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            )

    def confirm(self) -> None:
        """`Replaced` where another file, or none, stands in the store's place."""
        if self._file is not None:
            self._file.confirm()

    def close(self) -> None:
        """Give back connections."""
        self._engine.dispose()


def open_store(url: str, password_file: Path | None = None) -> Store:
    """The store at an SQLAlchemy address, migrated; the file holds its password."""
    try:
        address, options = make_url(url), {}
        if address.get_backend_name() == "postgresql":
            address, options = postgresql.address_of(address, password_file), postgresql.OPTIONS
        file = _file(address)
        engine = create_engine(address, **options)
    except (ArgumentError, NoSuchModuleError, ImportError):
        raise StoreError(
            "the address of the control store cannot be used",
            where="setting store",
            mend="e.g. sqlite:///store.db, postgresql://shuqiao@localhost/shuqiao",
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", sqlite.on_connect)
        event.listen(engine, "begin", sqlite.on_begin)
    store = Store(engine, file)
    migrate(store)
    return store


def migrate(store: Store) -> None:
    """Bring the store to its newest form."""
    with store.reading() as connection:
        if _version(connection) == HEAD:
            return
    from alembic import command
    from alembic.config import Config

    with store.writing() as connection:
        if connection.dialect.name == "postgresql":
            postgresql.must_be_utf8(connection)
        if _version(connection) != HEAD:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _file(address: URL) -> Unmoved | None:
    """The file of a store that is one, made where it is not there."""
    path = Path(address.database or "")
    if address.get_backend_name() != "sqlite" or not path.name:
        return None
    make_private(path, StoreError, "the store's file")
    return Unmoved(path)
