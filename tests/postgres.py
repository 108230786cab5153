"""A real PostgreSQL for tests: started when the first test wants it, ended with the run.

Law: nothing of it outlives this process, however that ends. Where it cannot be had, what needs
it is skipped with the reason, or fails where services are required.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests import debian

USER = "shuqiao"
_START = 30.0


class Server:
    """One that runs: stopped and started again as a test likes."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(16)
        self.password_file = folder / "password"
        self.password_file.write_text(self.password, "utf-8")
        self._programs = programs
        self._as = _other_user()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir()
        if self._as:
            for path in (folder, folder / "data", self.password_file):
                shutil.chown(path, self._as, self._as)
        made = [
            str(programs / "initdb"), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8",
            "--locale=C.UTF-8", "-A", "scram-sha-256", f"--pwfile={self.password_file}",
        ]  # fmt: skip
        subprocess.run([*self._drop(), *made], check=True, capture_output=True)

    def _drop(self) -> list[str]:
        """The server refuses to run as root, and ends with who started it."""
        who = [f"--reuid={self._as}", f"--regid={self._as}", "--clear-groups"] if self._as else []
        return ["setpriv", *who, "--pdeathsig=INT"]

    def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        output = (self.folder / "output").open("ab")
        words = [
            str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-h", "127.0.0.1",
            "-p", str(self.port), "-k", "", "-c", "fsync=off",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [*self._drop(), *words], stdout=output, stderr=output, cwd=self.folder
        )
        output.close()
        until = time.monotonic() + _START
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None and time.monotonic() < until, "no PostgreSQL"
                time.sleep(0.05)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection that commits each statement."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password,
            dbname=database, autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        """A signal to the server itself."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End it, and whoever is connected."""
        if self._process is not None:
            self.send(signal.SIGINT)
            self._process.wait(20)
            self._process = None

    def database(self) -> str:
        """The address of a new database of its own."""
        name = f"d{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"


def _other_user() -> str:
    if os.geteuid() != 0:
        return ""
    known = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def programs() -> Path:
    """The folder of PostgreSQL's own programs; skips where they cannot be had."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        debian.needs("pg_ctlcluster", "postgresql")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server of this run."""
    where = programs()
    folder = Path(tempfile.mkdtemp(prefix="shuqiao-postgres-"))
    server = Server(folder, where)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def on_postgres(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Puts every city of a test, and its processes, on a new database; its address."""

    def put() -> str:
        url = postgres.database()
        monkeypatch.setenv("SHUQIAO_STORE", url)
        monkeypatch.setenv("SHUQIAO_STORE_PASSWORD_FILE", str(postgres.password_file))
        return url

    return put
