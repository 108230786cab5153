"""A real PostgreSQL for tests: started when the first test wants it, ended with the run.

Law: nothing of it outlives this process, however that ends. Where it cannot be had, what needs
it is skipped with the reason, or fails where services are required.
"""

import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest

from deploy.postgres.server import USER, NoPostgres, Server
from tests import debian


def database(server: Server) -> str:
    """The address of a new database of its own."""
    name = f"d{secrets.token_hex(6)}"
    words = {"host": "127.0.0.1", "port": server.port, "user": USER, "dbname": "postgres"}
    password = server.password_file.read_text("utf-8")
    with psycopg.connect(**words, password=password, autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
    return server.address(name)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of this run."""
    debian.needs("psql", "postgresql")
    try:
        server = Server(tmp_path_factory.mktemp("postgres"))
        server.make()
        server.start()
    except NoPostgres as error:
        debian.lacking(str(error))
    try:
        yield server
    finally:
        server.stop()
        server.remove()


@pytest.fixture
def on_postgres(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Puts every city of a test, and its processes, on a new database; its address."""

    def put() -> str:
        url = database(postgres)
        monkeypatch.setenv("SHUQIAO_STORE", url)
        monkeypatch.setenv("SHUQIAO_STORE_PASSWORD_FILE", str(postgres.password_file))
        return url

    return put
