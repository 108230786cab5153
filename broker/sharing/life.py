"""A share's life beside the relay: its topic and keys are made, it goes live, it closes.

Law: OPENING → LIVE → CLOSING → CLOSED, never back. A topic is made only while the store
says OPENING, under the store's own lock, so what is closing never gets a topic again.
It has its schema's id before it has a topic.
Closing: the read right goes with the state, on a cluster as well; then the topic is deleted and
wiped, then the record key is destroyed. CLOSED it is once every live broker refuses. Each step
may be done twice.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, func, select, update

from broker.catalog import Catalog
from broker.errors import CatalogError, PolicyError
from broker.keyring import Keyring
from broker.log.interface import Batch, Log, PositionWrite
from broker.log.topics import (
    DOMAIN_MARKS,
    SHARE_POSITIONS,
    domain_mark,
    share_positions,
    shared_topic,
    shown_as,
)
from broker.sharing.domains import stored_generations
from broker.sharing.reading import Reading
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
        reading: Reading,
        emit: Callable[[Event], None],
    ) -> None:
        """`settle` brings grants and shares into line; called when a share went live."""
        self._store = store
        self._log = log
        self._keyring = keyring
        self._catalog = catalog
        self._settle = settle
        self._reading = reading
        self._emit = emit
        self.unconfirmed: list[str] = []
        """The brokers that did not confirm, at the last step, that what has ended is refused."""

    def advance(self, within: float | None = None, fresh: bool = True) -> list[str]:
        """Every step that can be made now; the shares that were closed.

        A wipe that would take longer than `within` seconds is left to the next call. Not `fresh`:
        the rights on the cluster are not looked at where nothing has changed here.
        """
        self.unconfirmed = self._reading.settle(fresh)
        if not self._in(OPENING, CLOSING):
            return []
        self.provision()
        if self.promote():
            # whoever needs a decision says why there is none; what is closing needs none
            with suppress(PolicyError, CatalogError):
                self._settle()
            self.unconfirmed = self._reading.settle()
        return self.close(within)

    def provision(self) -> None:
        """Give every opening share whose schema has its id its keys and its topic."""
        topics = self._log.topics()
        with self._store.reading() as connection:
            ready = _published(connection)
        if all(shared_topic(dataset, name) in topics for name, dataset, _ in ready):
            return
        with self._store.writing() as connection:
            marks = self._log.positions(DOMAIN_MARKS)
            fresh = [
                (name, dataset, domain)
                for name, dataset, domain in _published(connection)
                if shared_topic(dataset, name) not in topics
            ]
            # keys are made for what is new; a key that was there and is lost is an error
            domains = sorted({domain for _, _, domain in fresh if domain})
            unmarked = [domain for domain in domains if domain_mark(domain) not in marks]
            for domain in set(domains) - set(unmarked):
                self._keyring.key(f"pseudonym.{domain}")
            self._keyring.ensure_all(
                [
                    *(f"pseudonym.{domain}" for domain in unmarked),
                    *(f"share.{name}" for name, _, _ in fresh),
                ]
            )
            if unmarked:
                made = [PositionWrite(domain_mark(one), None, b"made") for one in unmarked]
                self._log.commit(Batch(positions=made))
            self._log.create_topics(
                {
                    shared_topic(dataset, name): self._catalog.dataset(dataset).partitions
                    for name, dataset, _ in fresh
                }
            )

    def promote(self) -> list[str]:
        """Opening shares that have caught up in every partition are live; which those are."""
        opening = self._in(OPENING)
        if not opening:
            return []
        joined = Counter(
            name.split(".")[1]
            for name, value in self._log.positions(SHARE_POSITIONS).items()
            if value == JOINED
        )
        ready = [
            one for one in opening if joined[one[0]] == self._catalog.dataset(one[1]).partitions
        ]
        moved = self._move([name for name, _, _ in ready], OPENING, LIVE)
        for name, dataset, _ in ready:
            if name in moved:
                self._emit(ShareLive(dataset=dataset, share=name))
        return sorted(moved)

    def caught_up(self, share: str) -> int:
        """In how many partitions a share has caught up."""
        places = self._log.positions(share_positions(share))
        return sum(value == JOINED for value in places.values())

    def closing(self) -> list[str]:
        """The shares whose topic is gone, or going, and whose values are still to be wiped."""
        return [name for name, _, _ in self._in(CLOSING)]

    def close(self, within: float | None = None) -> list[str]:
        """Close what is closing; the shares that are closed now."""
        closing = self._in(CLOSING)
        if not closing:
            return []
        for name, dataset, _ in closing:
            self._log.delete_topic(shared_topic(dataset, name))
        self._keyring.destroy(*(f"share.{name}" for name, _, _ in closing))
        for name, _, _ in closing:
            self._log.forget(share_positions(name))
        self._log.show({shown_as(name): {} for name, _, _ in closing})
        if self.unconfirmed:
            return []  # a broker may still let somebody in: tried again
        if not self._log.wiped(within):
            return []  # an older state is still read, or it takes too long: tried again
        moved = self._move([name for name, _, _ in closing], CLOSING, CLOSED)
        for name, dataset, domain in closing:
            if name in moved:
                self._forget_generation(domain)
                self._emit(ShareClosed(dataset=dataset, share=name))
        return sorted(moved)

    def _in(self, *states: str) -> list[tuple[str, str, str]]:
        with self._store.reading() as connection:
            return _in(connection, *states)

    def _move(self, names: Sequence[str], before: str, after: str) -> set[str]:
        """Move shares from one state to the next; those that were still in the first."""
        if not names:
            return set()
        closed = datetime.now(UTC).isoformat(timespec="seconds") if after == CLOSED else ""
        with self._store.writing() as connection:
            there = {name for name, _, _ in _in(connection, before)} & set(names)
            if there:
                connection.execute(
                    update(shares)
                    .where(shares.c.id == bindparam("name"))
                    .values(state=after, closed_at=closed),
                    [{"name": name} for name in sorted(there)],
                )
                count_up(connection)
        return there

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


def _published(connection: Connection) -> list[tuple[str, str, str]]:
    """The opening shares that their registry has given an id, or that need none."""
    waiting = select(shares.c.id).where(shares.c.registry != "", shares.c.id_there.is_(None))
    without = set(connection.execute(waiting).scalars())
    return [one for one in _in(connection, OPENING) if one[0] not in without]


def _in(connection: Connection, *states: str) -> list[tuple[str, str, str]]:
    query = select(shares.c.id, shares.c.dataset, shares.c.domain).where(shares.c.state.in_(states))
    return [(row.id, row.dataset, row.domain) for row in connection.execute(query)]
