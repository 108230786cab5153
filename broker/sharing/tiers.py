"""Who changed a consumer's tier, and what that would do.

Law: a change is kept with its author, approver and reason, and never changed after.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, update

from broker.model import Level
from broker.policy.model import Consumer
from broker.sharing.grants import Stored
from broker.store.tables import consumer as consumers
from broker.store.tables import tier_change as table


@dataclass(frozen=True, slots=True)
class TierChange:
    """One change; `at` is ISO 8601 in UTC, tiers are numbers."""

    at: str
    consumer: str
    before: int
    after: int
    author: str
    approver: str
    reason: str


def at_tier(stored: Iterable[Stored], consumer: str, tier: Level) -> list[Stored]:
    """The grants, those of the consumer as if it had that tier."""
    return [
        replace(one, grant=replace(one.grant, consumer=replace(one.grant.consumer, tier=tier)))
        if one.grant.consumer.id == consumer
        else one
        for one in stored
    ]


def put_tier(
    connection: Connection,
    consumer: Consumer,
    tier: Level,
    author: str,
    approver: str,
    reason: str,
) -> None:
    """Give a consumer another tier, and note who did."""
    connection.execute(
        update(consumers).where(consumers.c.id == consumer.id).values(tier=int(tier))
    )
    connection.execute(
        insert(table).values(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            consumer=consumer.id,
            before=int(consumer.tier),
            after=int(tier),
            author=author.strip(),
            approver=approver.strip(),
            reason=reason.strip(),
        )
    )


def tier_changes(connection: Connection) -> list[TierChange]:
    """Every change, oldest first."""
    columns = [table.c[name] for name in TierChange.__slots__]
    query = select(*columns).order_by(table.c.sequence)
    return [TierChange(**row) for row in connection.execute(query).mappings()]
