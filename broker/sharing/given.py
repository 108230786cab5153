"""What stands in the store of shared topics and whom they were given to.

Law: nothing is decided by it: it says what may stay, what must go and what was, never what is due.
"""

from collections.abc import Callable
from datetime import date

from sqlalchemy import select

from broker.log.topics import shared_topic
from broker.sharing.grants import ACTIVE
from broker.sharing.share import CLOSING, LIVE, OPENING
from broker.store.engine import Store
from broker.store.tables import grant as grants
from broker.store.tables import reader as readers
from broker.store.tables import share as shares


class Given:
    """Reads it. `today` gives the city's day."""

    def __init__(self, store: Store, today: Callable[[], date]) -> None:
        self._store = store
        self._today = today

    def standing(self) -> set[tuple[str, str]]:
        """Consumer and shared topic of every grant that is active by its state and dates."""
        query = select(grants.c.consumer, grants.c.dataset, grants.c.share).where(
            grants.c.state == ACTIVE,
            grants.c.valid_from <= self._today(),
            grants.c.valid_until >= self._today(),
            grants.c.share.is_not(None),
        )
        with self._store.reading() as connection:
            found = connection.execute(query).all()
        return {(row.consumer, shared_topic(row.dataset, row.share)) for row in found}

    def ending(self) -> set[tuple[str, str]]:
        """Every shared topic that is closing, with each consumer it was ever given to."""
        query = (
            select(readers.c.consumer, shares.c.dataset, shares.c.id)
            .join(shares, readers.c.share == shares.c.id)
            .where(shares.c.state == CLOSING)
        )
        with self._store.reading() as connection:
            found = connection.execute(query).all()
        return {(row.consumer, shared_topic(row.dataset, row.id)) for row in found}

    def ever(self, consumer: str, topic: str) -> bool:
        """Whether the consumer was ever given that shared topic."""
        pair = readers.c.share == topic.rpartition(".")[2], readers.c.consumer == consumer
        with self._store.reading() as connection:
            return connection.execute(select(readers).where(*pair)).first() is not None

    def live(self) -> dict[str, str]:
        """The topics of live shares, each with its dataset."""
        return self._in(LIVE)

    def open(self) -> set[str]:
        """The topics that shares may have: of all that are not closed."""
        return set(self._in(OPENING, LIVE, CLOSING))

    def _in(self, *states: str) -> dict[str, str]:
        query = select(shares.c.id, shares.c.dataset).where(shares.c.state.in_(states))
        with self._store.reading() as connection:
            found = connection.execute(query).all()
        return {shared_topic(row.dataset, row.id): row.dataset for row in found}
