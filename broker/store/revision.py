"""How often the control store has changed: what was read at one number still holds at it.

Law: whatever changes grants, consumers, shares or the policy counts up in the same
transaction.
"""

from sqlalchemy import Connection, select, update

from broker.store.engine import Store
from broker.store.tables import revision

_NOW = f"SELECT {revision.c.number.name} FROM {revision.name}"


def current(connection: Connection) -> int:
    """The number now."""
    return int(connection.execute(select(revision.c.number)).scalar_one())


def glance(store: Store) -> int:
    """The same, with nothing else to be read beside it."""
    return store.number(_NOW)


def count_up(connection: Connection) -> None:
    """Something has changed."""
    connection.execute(update(revision).values(number=revision.c.number + 1))
