"""A lease on a role that only one process may have, kept in the control store.

Law: no clock is trusted. The holder counts a beat up; who watches takes over when the
beat it saw has not changed for its patience, in seconds of its own monotonic time. A holder
that slept through that loses the lease at its next beat. A lease is no lock: what is done
under it must do no harm when done twice.
"""

import secrets
import time
from collections.abc import Callable

from sqlalchemy import insert, select, update

from broker.store.engine import Store
from broker.store.tables import lease as table

PATIENCE = 1.2
"""Seconds without a beat after which a lease is free."""


class Lease:
    """One process's view of a named lease. Call `held` at least twice in the patience."""

    def __init__(
        self,
        store: Store,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._patience = patience
        self._me = secrets.token_hex(8)
        self._seen: tuple[str, int] | None = None
        self._since = clock()

    def held(self) -> bool:
        """Whether the lease is ours now; counts our beat, or takes over where it is free."""
        with self._store.writing() as connection:
            row = connection.execute(select(table).where(table.c.name == self._name)).one_or_none()
            if row is None:
                connection.execute(insert(table).values(name=self._name, holder=self._me, beat=1))
                return True
            if row.holder != self._me:
                if (row.holder, row.beat) != self._seen:
                    self._seen, self._since = (row.holder, row.beat), self._clock()
                    return False
                if self._clock() - self._since < self._patience:
                    return False
            connection.execute(
                update(table)
                .where(table.c.name == self._name)
                .values(holder=self._me, beat=row.beat + 1)
            )
            self._seen = None
            return True

    def give_up(self) -> None:
        """Free the lease at once, where it is ours."""
        with self._store.writing() as connection:
            connection.execute(
                table.delete().where(table.c.name == self._name, table.c.holder == self._me)
            )
