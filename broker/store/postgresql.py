"""The control store on PostgreSQL: how it is reached, and how writers take turns.

Law: what is not on this machine is reached with a verified certificate or not at all. Of all
writers on all machines one writes at a time, and sees what was written before it; a reader sees
one state. A connection that has died is noticed within seconds and never used again.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, text

from broker.address import is_loopback
from broker.errors import SettingsError, StoreError

_VERIFIED = "verify-full"
_LOCK = 7_310_002
"""The advisory lock of whoever writes; any number, the same everywhere."""

_CONNECT_SECONDS = 5
_PATIENCE_MS = 30_000
"""How long another's transaction is waited for, and how long one statement may take."""

OPTIONS: dict[str, Any] = {
    "pool_pre_ping": True,
    "pool_size": 5,
    "max_overflow": 25,
    "pool_timeout": _CONNECT_SECONDS,
    "connect_args": {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": "shuqiao",
        "options": f"-c lock_timeout={_PATIENCE_MS} -c statement_timeout={_PATIENCE_MS}",
    },
}
"""How its engine is made."""


def address_of(url: URL, password_file: Path | None) -> URL:
    """The address with its driver and password; refuses plain text to another machine."""
    hosts = [url.host, url.query.get("host")]
    named = ",".join(one if isinstance(one, str) else ",".join(one) for one in hosts if one)
    far = [one for one in named.split(",") if one and not one.startswith("/")]
    if url.query.get("sslmode") != _VERIFIED and not all(map(is_loopback, far)):
        raise SettingsError(
            "the control store would be reached without a verified certificate",
            where="setting store",
            mend=f"add ?sslmode={_VERIFIED}&sslrootcert=FILE to its address",
        )
    if password_file is None:
        return url.set(drivername="postgresql+psycopg")
    try:
        password = password_file.read_text("utf-8").strip()
    except OSError:
        raise SettingsError(
            "the password cannot be read",
            where="setting store_password_file",
            mend="name a file that this user may read",
        ) from None
    return url.set(drivername="postgresql+psycopg", password=password)


def take_turn(connection: Connection) -> None:
    """Wait until nobody else writes; until the transaction ends nobody else does."""
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def must_be_utf8(connection: Connection) -> None:
    """`StoreError` where the database cannot hold what the city writes."""
    found = connection.execute(text("SHOW server_encoding")).scalar_one()
    if found != "UTF8":
        raise StoreError(
            f"the database's encoding is {found}",
            where="setting store",
            mend="make it anew with encoding UTF8",
        )
