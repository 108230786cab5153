"""The control store: migrations make the tables; ids of schemas are for good."""

import sqlite3
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, text, update

from broker.errors import RegistryError, StoreError
from broker.registry import Registry, frame, unframe
from broker.sharing.pulls import Pull, Pulls
from broker.store import engine
from broker.store.engine import Store, open_store
from broker.store.revision import count_up, current, glance
from broker.store.tables import metadata, revision
from deploy.postgres.server import Server
from tests.postgres import database

ONE = {"type": "record", "name": "a", "fields": [{"name": "x", "type": "int"}]}
TWO = {"type": "record", "name": "b", "fields": []}


Opened = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the same store again and again, of either kind."""
    if request.param == "sqlite":
        return lambda: open_store(f"sqlite:///{tmp_path / 'store.db'}")
    server: Server = request.getfixturevalue("postgres")
    url = database(server)
    return lambda: open_store(url, server.password_file)


def test_the_migrations_build_exactly_the_tables(opened: Opened) -> None:
    store = opened()
    with store.reading() as connection:
        found = inspect(connection)
        names = set(found.get_table_names()) - {"alembic_version"}
        assert names == set(metadata.tables)
        for name, table in metadata.tables.items():
            columns = {(c["name"], c["nullable"]) for c in found.get_columns(name)}
            assert columns == {(c.name, bool(c.nullable)) for c in table.columns}
            made = [i for i in found.get_indexes(name) if not i.get("duplicates_constraint")]
            indexes = {tuple(i["column_names"]) for i in made}
            assert indexes == {tuple(c.name for c in i.columns) for i in table.indexes}
    store.close()


def test_a_store_in_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path / 'store.db'}").close()
    assert oct((tmp_path / "store.db").stat().st_mode & 0o777) == "0o600"


def test_a_store_of_before_learns_that_no_pull_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    replaced = text("INSERT OR REPLACE INTO pull SELECT * FROM pull")
    with monkeypatch.context() as before:
        before.setattr(engine, "HEAD", "0003")
        store = open_store(url)
        Pulls(store).record(Pull("a", "k", "d", "s", "records", (0,), (1,), 1))
        with store.writing() as connection:
            connection.execute(replaced)
        store.close()
    store = open_store(url)
    with pytest.raises(StoreError), store.writing() as connection:
        connection.execute(replaced)
    Pulls(store).record(Pull("a", "k", "d", "s", "records", (1,), (2,), 1))
    assert len(Pulls(store).newest(9)) == 2
    store.close()


def test_several_that_open_at_once_migrate_once(opened: Opened) -> None:
    failures: list[Exception] = []

    def start() -> None:
        try:
            opened().close()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_same_content_has_the_same_id_for_good(opened: Opened) -> None:
    registry = Registry(opened())
    one = registry.schema_id(ONE)
    assert registry.schema_id(TWO) != one == registry.schema_id(dict(reversed(ONE.items())))
    again = Registry(opened())
    assert again.schema_id(ONE) == one and again.schema(one) == ONE
    with pytest.raises(RegistryError):
        again.schema(999)


def test_no_pull_is_changed_or_taken_away(opened: Opened) -> None:
    store = opened()
    Pulls(store).record(Pull("a", "k", "d", "s", "records", (0,), (1,), 1))
    for statement in ("UPDATE pull SET records = 0", "DELETE FROM pull"):
        with pytest.raises(StoreError), store.writing() as connection:
            connection.execute(text(statement))
    (kept,) = Pulls(store).newest(9)
    assert kept.records == 1
    store.close()


def test_of_those_who_write_each_sees_what_was_written_before(opened: Opened) -> None:
    """Read, think, write: nobody's change is lost, in threads as on other machines."""
    stores = [opened() for _ in range(3)]

    def count(store: Store) -> None:
        for _ in range(20):
            with store.writing() as connection:
                before = current(connection)
                time.sleep(0.0005)
                connection.execute(update(revision).values(number=before + 1))

    threads = [threading.Thread(target=count, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with stores[0].reading() as connection:
        assert current(connection) == 60
    for store in stores:
        store.close()


def test_a_reader_sees_one_state(opened: Opened) -> None:
    store, other = opened(), opened()
    with store.reading() as connection:
        before = current(connection)
        with other.writing() as writing:
            count_up(writing)
        assert current(connection) == before
    with store.reading() as connection:
        assert current(connection) == before + 1
    store.close()
    other.close()


def test_the_revision_is_told_at_a_glance_as_it_is_read(opened: Opened) -> None:
    store, other = opened(), opened()
    for counted in range(3):
        with store.reading() as connection:
            assert glance(store) == glance(other) == current(connection) == counted
        with other.writing() as connection:
            count_up(connection)
            connection.execute(text("SELECT 1"))
            assert glance(store) == counted, "what has not landed is not there"
    store.close()
    other.close()


def test_a_glance_at_what_is_not_there_is_an_error_of_ours(opened: Opened) -> None:
    store = opened()
    with pytest.raises(StoreError) as raised:
        store.number("SELECT 110101199001011234 FROM nowhere")
    assert "110101" not in str(raised.value)
    store.close()


def test_a_transaction_that_fails_leaves_nothing(opened: Opened) -> None:
    store = opened()
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        count_up(connection)
        raise ZeroDivisionError
    with store.reading() as connection:
        assert current(connection) == 0
    store.close()


def test_the_frame_is_the_wire_format() -> None:
    assert frame(258, b"body") == b"\x00\x00\x00\x01\x02body"
    assert unframe(frame(258, b"body")) == (258, b"body")
    for value in (b"", b"\x00\x00\x00\x01", b"\x01\x00\x00\x01\x02body"):
        with pytest.raises(RegistryError):
            unframe(value)


def test_an_address_that_cannot_be_used() -> None:
    for url in ("nonsense", "nodb://x", "sqlite:////proc/nowhere/store.db"):
        with pytest.raises((StoreError, OSError)):
            open_store(url)


def test_a_writer_is_not_starved_by_one_that_hardly_pauses(tmp_path: Path) -> None:
    """A right ends at once however much is being recorded by those who read."""
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    stop = threading.Event()

    def record() -> None:
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None, timeout=30)
        while not stop.is_set():
            other.execute("BEGIN IMMEDIATE")
            time.sleep(0.03)
            other.execute("COMMIT")
            time.sleep(0.0007)
        other.close()

    recording = threading.Thread(target=record)
    recording.start()
    waited = []
    for _ in range(9):
        time.sleep(0.05)
        started = time.monotonic()
        with store.writing():
            pass
        waited.append(time.monotonic() - started)
    stop.set()
    recording.join()
    store.close()
    assert statistics.mean(waited) < 0.3, waited


def be_impatient(monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    """Stores that are opened from now on wait that many seconds."""
    connected = engine.sqlite.on_connect

    def impatient(connection: sqlite3.Connection, record: object) -> None:
        connected(connection, record)
        connection.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")

    monkeypatch.setattr(engine.sqlite, "on_connect", impatient)


def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float) -> list[float]:
    """After how long each of five writers of one process gave up, the store being locked."""
    be_impatient(monkeypatch, patience)
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    elsewhere = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    elsewhere.execute("BEGIN IMMEDIATE")
    gave_up: list[float] = []
    started = time.monotonic()

    def write() -> None:
        with pytest.raises(StoreError), store.writing():
            pass
        gave_up.append(time.monotonic() - started)

    threads = [threading.Thread(target=write) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elsewhere.close()
    with store.writing():
        pass  # nobody who gave up keeps the turn
    store.close()
    return gave_up


def test_who_waits_behind_others_gives_up_as_soon_as_they(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gave_up = waiting(tmp_path, monkeypatch, 0.5)
    assert len(gave_up) == 5 and min(gave_up) > 0.4 and max(gave_up) < 0.9, gave_up


def test_who_waits_for_a_long_transaction_of_its_own_process_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_impatient(monkeypatch, 0.3)
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    begun, over = threading.Event(), threading.Event()

    def long() -> None:
        with store.writing():
            begun.set()
            over.wait(2)

    thread = threading.Thread(target=long)
    thread.start()
    begun.wait()
    started = time.monotonic()
    with pytest.raises(StoreError), store.writing():
        pass
    waited = time.monotonic() - started
    over.set()
    thread.join()
    store.close()
    assert 0.2 < waited < 1, waited


def test_of_one_process_one_at_a_time_asks_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait without trying."""
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    asking: set[int] = set()
    most = [0]
    sleep = time.sleep

    def slept(seconds: float) -> None:
        asking.add(threading.get_ident())
        most[0] = max(most[0], len(asking))
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", slept)

    def write() -> None:
        with store.writing():
            asking.discard(threading.get_ident())

    elsewhere = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    elsewhere.execute("BEGIN IMMEDIATE")
    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    sleep(0.3)
    elsewhere.execute("ROLLBACK")
    for thread in threads:
        thread.join()
    elsewhere.close()
    store.close()
    assert most[0] == 1
