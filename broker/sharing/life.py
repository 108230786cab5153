"""A share's life beside the relay: its topic and keys are made, it goes live, it closes.

Law: OPENING → LIVE → CLOSING → CLOSED, never back. A topic is made only while the store
says OPENING, under the store's own lock, so what is closing never gets a topic again.
Closing: the read right went with the state; then the topic is deleted and wiped, then the
record key is destroyed, then the share is CLOSED. Each step may be done twice.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select, update

from broker.catalog import Catalog
from broker.keyring import Keyring
from broker.log.interface import Log
from broker.log.topics import share_positions, shared_topic
from broker.sharing.domains import stored_generations
from broker.sharing.share import CLOSED, CLOSING, JOINED, LIVE, OPENING, keyed_domain
from broker.store.engine import Store
from broker.store.revision import count_up
from broker.store.tables import share as shares
from broker.telemetry import Event, ShareClosed, ShareLive


class Life:
    """Moves shares through their states."""

    def __init__(
        self,
        store: Store,
        log: Log,
        keyring: Keyring,
        catalog: Catalog,
        settle: Callable[[], object],
        emit: Callable[[Event], None],
    ) -> None:
        """`settle` brings grants and shares into line; called when a share went live."""
        self._store = store
        self._log = log
        self._keyring = keyring
        self._catalog = catalog
        self._settle = settle
        self._emit = emit

    def advance(self) -> list[str]:
        """Every step that can be made now; the shares that were closed."""
        self.provision()
        if self.promote():
            self._settle()
        return self.close()

    def provision(self) -> None:
        """Give every opening share its keys and its topic."""
        topics = self._log.topics()
        if all(shared_topic(dataset, name) in topics for name, dataset, _ in self._in(OPENING)):
            return
        with self._store.writing() as connection:
            used = _domains_in_use(connection, topics)
            for name, dataset, domain in _in(connection, OPENING):
                if shared_topic(dataset, name) in topics:
                    continue
                # keys are made for what is new; a key that was there and is lost is an error
                self._keyring.ensure(f"share.{name}")
                if domain:
                    place = f"pseudonym.{domain}"
                    self._keyring.key(place) if domain in used else self._keyring.ensure(place)
                partitions = self._catalog.dataset(dataset).partitions
                self._log.create_topic(shared_topic(dataset, name), partitions)

    def promote(self) -> list[str]:
        """Opening shares that have caught up in every partition are live; which those are."""
        ready = [
            (name, dataset)
            for name, dataset, _ in self._in(OPENING)
            if self.caught_up(name) == self._catalog.dataset(dataset).partitions
        ]
        moved = [one for one in ready if self._move(one[0], OPENING, LIVE)]
        for name, dataset in moved:
            self._emit(ShareLive(dataset=dataset, share=name))
        return [name for name, _ in moved]

    def caught_up(self, share: str) -> int:
        """In how many partitions a share has caught up."""
        places = self._log.positions(share_positions(share))
        return sum(value == JOINED for value in places.values())

    def close(self) -> list[str]:
        """Close what is closing; the shares that are closed now."""
        done: list[str] = []
        for name, dataset, domain in self._in(CLOSING):
            self._log.delete_topic(shared_topic(dataset, name))
            self._keyring.destroy(f"share.{name}")
            self._log.forget(share_positions(name))
            if not self._log.wiped():
                continue  # somebody still reads an older state of the file: tried again
            if self._move(name, CLOSING, CLOSED):
                done.append(name)
                self._forget_generation(domain)
                self._emit(ShareClosed(dataset=dataset, share=name))
        return done

    def _in(self, state: str) -> list[tuple[str, str, str]]:
        with self._store.reading() as connection:
            return _in(connection, state)

    def _move(self, name: str, before: str, after: str) -> bool:
        closed = datetime.now(UTC).isoformat(timespec="seconds") if after == CLOSED else ""
        with self._store.writing() as connection:
            moved = connection.execute(
                update(shares)
                .where(shares.c.id == name, shares.c.state == before)
                .values(state=after, closed_at=closed)
            )
            if moved.rowcount:
                count_up(connection)
        return bool(moved.rowcount)

    def _forget_generation(self, domain: str) -> None:
        """Destroy a pseudonym key that a newer generation has replaced."""
        if not domain:
            return
        with self._store.reading() as connection:
            used = connection.execute(
                select(func.count()).where(shares.c.domain == domain, shares.c.state != CLOSED)
            ).scalar_one()
            known = stored_generations(connection)
        if not used and domain not in {keyed_domain(*one) for one in known.items()}:
            self._keyring.destroy(f"pseudonym.{domain}")


def _domains_in_use(connection: Connection, topics: Mapping[str, int]) -> set[str]:
    """The domains whose key exists: some share in them has had its topic."""
    query = select(shares.c.id, shares.c.dataset, shares.c.domain, shares.c.state)
    return {
        row.domain
        for row in connection.execute(query)
        if row.state != OPENING or shared_topic(row.dataset, row.id) in topics
    }


def _in(connection: Connection, state: str) -> list[tuple[str, str, str]]:
    query = select(shares.c.id, shares.c.dataset, shares.c.domain).where(shares.c.state == state)
    return [(row.id, row.dataset, row.domain) for row in connection.execute(query)]
