"""Schemas published in a registry elsewhere, under `<topic>-value`, and withdrawn from it.

Law: a share has its id there before it has a topic, so every frame carries that registry's id.
What may stand there is noted before it is written, so whatever ends leaves no subject behind.
While the registry is away shares wait and nothing else does: rights are taken and topics deleted
all the same. A collected topic's subject stays as long as its topic.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, delete, func, insert, select, update

from broker.errors import RegistryAway, RegistryError
from broker.log.topics import SHARED, shared_topic
from broker.model import Dataset, Schema
from broker.registry import Registry
from broker.sharing.share import LIVE, OPENING
from broker.store.engine import Store
from broker.store.lease import Lease
from broker.store.revision import count_up
from broker.store.tables import published as table
from broker.store.tables import share as shares

BEAT = 0.4
"""Seconds between two looks."""

COLLECTED = 10.0
"""Seconds between two looks at which collected topics there are."""


class Elsewhere(Protocol):
    """The registry: see `broker.external_registry`."""

    def publish(self, subject: str, schema: Schema) -> int:
        """The schema's id there."""

    def withdraw(self, subject: str) -> None:
        """Delete the subject there."""


@dataclass(frozen=True, slots=True)
class _Due:
    """A subject that should have one of our schemas; `share` is empty for a collected topic."""

    subject: str
    schema_id: int
    share: str = ""


class Publisher:
    """The role: brings the registry into line with the shares. `topics` gives those there are,
    `elsewhere` the registry at `address`: only what asks it fails where that cannot be had."""

    name = "publisher"

    def __init__(
        self,
        store: Store,
        registry: Registry,
        address: str,
        elsewhere: Callable[[], Elsewhere],
        lease: Lease,
        datasets: Sequence[Dataset],
        topics: Callable[[], Mapping[str, int]],
    ) -> None:
        self._store = store
        self._registry = registry
        self._name = address
        self._elsewhere = elsewhere
        self._lease = lease
        self._datasets = datasets
        self._topics = topics
        self._looked: float | None = None
        self._collected: list[_Due] = []

    def run(self, stop: threading.Event) -> None:
        """See `Role`. What is refused or away ends the run, which is begun again."""
        self._looked = None
        while not stop.is_set():
            if self._lease.held():
                self.step()
            stop.wait(BEAT)

    def close(self) -> None:
        """See `Role`."""
        self._lease.give_up()

    def step(self) -> None:
        """Publish what is due and withdraw what is over. What is refused keeps nothing else from
        it; the first `RegistryError` is raised at the end, `RegistryAway` at once."""
        failed: list[RegistryError] = []
        for one in self._to_publish():
            self._try(failed, lambda one=one: self._publish(one))  # type: ignore[misc]
        for subject in self.over():
            self._try(failed, lambda subject=subject: self._withdraw(subject))  # type: ignore[misc]
        if failed:
            raise failed[0]

    def waiting(self) -> list[str]:
        """The shares that wait for their id."""
        with self._store.reading() as connection:
            due, kept = self._shares(connection), self._kept(connection)
        return [one.share for one in due if kept.get(one.subject) != one.schema_id]

    def over(self) -> list[str]:
        """The subjects that may still stand there although their share is closing or closed."""
        with self._store.reading() as connection:
            due = {one.subject for one in self._shares(connection)}
            kept = self._kept(connection)
        return [one for one in sorted(kept) if one.startswith(SHARED) and one not in due]

    def _try(self, failed: list[RegistryError], act: Callable[[], None]) -> None:
        try:
            act()
        except RegistryAway:
            raise
        except RegistryError as error:
            failed.append(error)

    def _to_publish(self) -> list[_Due]:
        with self._store.reading() as connection:
            due, kept = self._shares(connection), self._kept(connection)
        return [
            one for one in (*due, *self._of_collected()) if kept.get(one.subject) != one.schema_id
        ]

    def _of_collected(self) -> list[_Due]:
        now = time.monotonic()
        if self._looked is None or now - self._looked >= COLLECTED:
            topics = self._topics()
            self._collected = [
                _Due(f"{one.collected_topic}-value", self._registry.schema_id(one.schema))
                for one in self._datasets
                if one.collected_topic in topics
            ]
            self._looked = now
        return self._collected

    def _shares(self, connection: Connection) -> list[_Due]:
        is_open = shares.c.state.in_((OPENING, LIVE))
        query = select(shares.c.id, shares.c.dataset, shares.c.schema_id).where(
            is_open, shares.c.registry == self._name
        )
        return [
            _Due(f"{shared_topic(row.dataset, row.id)}-value", row.schema_id, row.id)
            for row in connection.execute(query.order_by(shares.c.id))
        ]

    def _kept(self, connection: Connection) -> dict[str, int | None]:
        query = select(table.c.subject, table.c.schema_id).where(table.c.registry == self._name)
        return {row.subject: row.schema_id for row in connection.execute(query)}

    def _publish(self, one: _Due) -> None:
        mine = table.c.registry == self._name, table.c.subject == one.subject
        with self._store.writing() as connection:
            self._note(connection, one.subject)
        number = self._elsewhere().publish(one.subject, self._registry.schema(one.schema_id))
        with self._store.writing() as connection:
            self._note(connection, one.subject)  # another may have withdrawn it meanwhile
            connection.execute(update(table).where(*mine).values(schema_id=one.schema_id))
            if one.share:
                given = shares.c.id == one.share, shares.c.id_there.is_(None)
                connection.execute(update(shares).where(*given).values(id_there=number))
                count_up(connection)

    def _note(self, connection: Connection, subject: str) -> None:
        """Remember that the subject may stand there."""
        mine = table.c.registry == self._name, table.c.subject == subject
        if connection.execute(select(table).where(*mine)).first() is None:
            values = {"registry": self._name, "subject": subject}
            connection.execute(insert(table).values(**values))

    def _withdraw(self, subject: str) -> None:
        self._elsewhere().withdraw(subject)
        mine = table.c.registry == self._name, table.c.subject == subject
        with self._store.writing() as connection:
            connection.execute(delete(table).where(*mine))


def left_behind(store: Store, address: str) -> dict[str, int]:
    """How many subjects may still stand in each registry but the one at `address`."""
    query = (
        select(table.c.registry, func.count())
        .where(table.c.registry != address)
        .group_by(table.c.registry)
    )
    with store.reading() as connection:
        return {name: count for name, count in connection.execute(query)}
