"""A PostgreSQL on this machine: made once in a folder, started and stopped.

Law: it listens on loopback alone and asks for a password; what is needed to use it stands in
`shuqiao.yaml` in the folder, readable by its owner alone. It ends with the process that started it.
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
from collections.abc import Mapping
from pathlib import Path

from deploy.kafka.authority import write_secret

USER = "shuqiao"
_START = 30.0
_STOP = 20.0


class NoPostgres(Exception):
    """Why a PostgreSQL cannot be had here, and what to do."""


def programs() -> Path:
    """The folder of PostgreSQL's own programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    if there := shutil.which("initdb"):
        return Path(there).parent
    raise NoPostgres("initdb not found: install PostgreSQL")


class Server:
    """The server of a folder. As root it runs as another user, in a folder of that user's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.password_file = self.folder / "password"
        self._programs = programs()
        self._as = _other_user()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.data = self.folder / "data"

    def make(self) -> None:
        """Make its storage and its user."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(self.password_file, secrets.token_urlsafe(24).encode())
        given = self.password_file
        if self._as:  # it may not enter our folders
            self.data = Path(tempfile.mkdtemp(prefix="shuqiao-postgres-")) / "data"
            given = self.data.parent / "password"
            shutil.copy(self.password_file, given)
            for path in (self.data.parent, given):
                shutil.chown(path, self._as, self._as)
        words = [
            "-D", str(self.data), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8",
            "-A", "scram-sha-256", f"--pwfile={given}",
        ]  # fmt: skip
        done = subprocess.run(
            [*self._drop(), str(self._programs / "initdb"), *words],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        if done.returncode:
            raise NoPostgres(f"its storage cannot be made: {done.stderr[-500:]}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        lines = "".join(f"{name}: {value}\n" for name, value in self.settings.items())
        write_secret(self.folder / "shuqiao.yaml", lines.encode())

    @property
    def settings(self) -> Mapping[str, str]:
        """What ShuQiao needs to use it."""
        return {"store": self.address("postgres"), "store_password_file": str(self.password_file)}

    def address(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        words = [
            str(self._programs / "postgres"), "-D", str(self.data), "-h", "127.0.0.1",
            "-p", str(self.port), "-k", "", "-c", "max_connections=300",
        ]  # fmt: skip
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [*self._drop(), *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd="/", start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _START
        ready = ["-h", "127.0.0.1", "-p", str(self.port), "-t", "1", "-q"]
        while subprocess.run([self._programs / "pg_isready", *ready], check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self.folder / "output.log").read_text("utf-8", "replace")[-500:]
                raise NoPostgres(f"it does not start: {said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, and whoever is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_STOP)
            self._process = None

    def remove(self) -> None:
        """Remove what was made outside its folder."""
        if self._as:
            shutil.rmtree(self.data.parent, ignore_errors=True)

    def _drop(self) -> list[str]:
        who = [f"--reuid={self._as}", f"--regid={self._as}", "--clear-groups"] if self._as else []
        return ["setpriv", *who, "--pdeathsig=INT"] if shutil.which("setpriv") else []


def _other_user() -> str:
    """Whom it runs as where we are root, which it refuses."""
    if os.geteuid() != 0:
        return ""
    known = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
