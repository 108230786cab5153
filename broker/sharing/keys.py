"""API keys of consumers: how an application says over HTTP who it is.

Law: a key is shown once, when it is made; what is kept is its hash (a key is 256 random
bits, so a plain hash cannot be searched). A wrong key takes as long as a right one. A
revoked key is refused from then on, also in what is under way.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select, update

from broker.errors import GrantError
from broker.store.engine import Store
from broker.store.revision import count_up, current
from broker.store.tables import api_key as table
from broker.store.tables import consumer as consumers

_FORM = re.compile(r"sq_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept. `id` is its public part; times are ISO 8601 in UTC."""

    id: str
    consumer: str
    made_at: str
    revoked_at: str = ""


class ApiKeys:
    """The keys over one control store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[int, Mapping[str, tuple[ApiKey, str]]] | None = None

    def add(self, consumer: str) -> str:
        """A new key of the consumer, beside those it has; shown here and never again."""
        name, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        with self._store.writing() as connection:
            there = connection.execute(select(consumers.c.id).where(consumers.c.id == consumer))
            if there.scalar() is None:
                raise GrantError(
                    f"there is no consumer {consumer!r}", mend="`shuqiao consumer list` shows them"
                )
            connection.execute(
                insert(table).values(
                    id=name, consumer=consumer, digest=_digest(secret), made_at=_now()
                )
            )
            count_up(connection)
        return f"sq_{name}_{secret}"

    def revoke(self, name: str) -> ApiKey:
        """End a key for good, by its id."""
        with self._store.writing() as connection:
            changed = connection.execute(
                update(table)
                .where(table.c.id == name, table.c.revoked_at == "")
                .values(revoked_at=_now())
            )
            if not changed.rowcount:
                raise GrantError(
                    f"there is no key {name!r} in use", mend="`shuqiao consumer key list`"
                )
            count_up(connection)
        return self.all()[name]

    def all(self) -> dict[str, ApiKey]:
        """Every key by id, the revoked ones too."""
        return {name: key for name, (key, _) in self._current().items()}

    def holder(self, text: str, consumer: str = "") -> ApiKey | None:
        """The key that this text is, where it is in use (and belongs to `consumer`)."""
        form = _FORM.fullmatch(text)
        known = self._current().get(form[1]) if form else None
        digest = known[1] if known else _NOBODY
        right = hmac.compare_digest(digest, _digest(form[2] if form else text))
        if known is None or not right or known[0].revoked_at:
            return None
        return known[0] if consumer in ("", known[0].consumer) else None

    def in_use(self, name: str) -> bool:
        """Whether the key of that id still counts."""
        known = self._current().get(name)
        return known is not None and not known[0].revoked_at

    def all_in_use(self) -> set[str]:
        """The ids of the keys that count."""
        return {name for name, (key, _) in self._current().items() if not key.revoked_at}

    def _current(self) -> Mapping[str, tuple[ApiKey, str]]:
        known = self._known
        with self._store.reading() as connection:
            mark = current(connection)
            if known is not None and known[0] == mark:
                return known[1]
            rows = connection.execute(select(table)).all()
        found = {
            row.id: (ApiKey(row.id, row.consumer, row.made_at, row.revoked_at), row.digest)
            for row in rows
        }
        self._known = mark, found
        return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
