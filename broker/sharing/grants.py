"""Grants and consumers as they stand in the control store.

Law: rows in, nouns out; nothing is decided here.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from broker.catalog import Catalog
from broker.errors import GrantError
from broker.model import Level, Scope
from broker.policy.model import Consumer, Effect, Grant
from broker.policy.predicate import Predicate, parse_predicate, to_json
from broker.sharing.share import effects_from_json, effects_to_json
from broker.store.tables import consumer as consumers_table
from broker.store.tables import grant as grants_table

ACTIVE, SUSPENDED, TERMINATED = "ACTIVE", "SUSPENDED", "TERMINATED"
EXPIRED, PENDING = "EXPIRED", "PENDING"
"""States of a grant that are given to it; that it is pending follows from the day. That its last
day is over follows too, and is noted: no clock that is set back brings it to life again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a grant stands: its state, since when it was given (ISO 8601 in UTC; of an expired one
    its last day; empty where nobody changed it), and why."""

    state: str
    changed_at: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A grant with what it has released so far (loosest by item) and its share, if any.

    `opening` is the share that takes the other's place once it has caught up.
    """

    grant: Grant
    released: Mapping[str, Effect]
    share: str | None
    opening: str | None
    state: str
    reason: str
    changed_at: str

    def standing(self, day: date) -> "Standing":
        """How it stands on that day."""
        state = self.state_on(day)
        if state == EXPIRED:
            return Standing(state, self.grant.valid_until.isoformat(), "")
        return Standing(state, self.changed_at, self.reason)

    def state_on(self, day: date) -> str:
        """The state, with what follows from the day."""
        if self.state in (TERMINATED, EXPIRED) or day > self.grant.valid_until:
            return EXPIRED if self.state != TERMINATED else TERMINATED
        if self.state == ACTIVE and day < self.grant.valid_from:
            return PENDING
        return self.state


def put_consumer(connection: Connection, consumer: Consumer, title: str) -> None:
    """Store a consumer."""
    connection.execute(
        insert(consumers_table).values(
            id=consumer.id, department=consumer.department, tier=int(consumer.tier), title=title
        )
    )


def all_consumers(connection: Connection) -> dict[str, Consumer]:
    """Consumers by id."""
    rows = connection.execute(select(consumers_table).order_by(consumers_table.c.id)).mappings()
    return {row["id"]: Consumer(row["id"], row["department"], Level(row["tier"])) for row in rows}


def put_grant(connection: Connection, grant: Grant) -> None:
    """Store a grant that has released nothing yet."""
    connection.execute(
        insert(grants_table).values(
            id=grant.id,
            consumer=grant.consumer.id,
            dataset=grant.dataset,
            items=list(grant.items),
            purpose=grant.purpose,
            legal_basis=grant.legal_basis,
            scope=grant.scope.code,
            valid_from=grant.valid_from,
            valid_until=grant.valid_until,
            impact_assessment=grant.impact_assessment,
            notice=grant.notice,
            filter=to_json(grant.filter) if grant.filter else None,
            minors=grant.minors,
            join_domain=grant.join_domain,
            state=ACTIVE,
            reason="",
            released={},
            share=None,
            opening=None,
        )
    )


def all_grants(connection: Connection, catalog: Catalog) -> list[Stored]:
    """Every grant, in the order given."""
    consumers = all_consumers(connection)
    rows = connection.execute(select(grants_table).order_by(grants_table.c.sequence)).mappings()
    return [_stored(row, consumers[row["consumer"]], catalog) for row in rows]


def set_outcome(
    connection: Connection,
    grant: str,
    released: Mapping[str, Effect],
    share: str | None,
    opening: str | None,
) -> None:
    """Note what a grant has released, its share and the one that is opening for it."""
    connection.execute(
        update(grants_table)
        .where(grants_table.c.id == grant)
        .values(released=effects_to_json(released), share=share, opening=opening)
    )


def state_of(connection: Connection, grant: str) -> str:
    """A grant's state as stored; nothing is read of what it is about."""
    state = connection.execute(
        select(grants_table.c.state).where(grants_table.c.id == grant)
    ).scalar_one_or_none()
    if state is None:
        raise GrantError(f"there is no grant {grant!r}", mend="`shuqiao grant list` shows them")
    return str(state)


def unfiltered(connection: Connection, grant: str) -> Grant:
    """A grant without its filter, to say whose it is; nothing is decided by it."""
    query = select(grants_table).where(grants_table.c.id == grant)
    row = connection.execute(query).mappings().one()
    return _grant(row, all_consumers(connection)[row["consumer"]], None)


def set_state(connection: Connection, grant: str, state: str, reason: str) -> None:
    """Note that a grant was suspended, resumed or terminated, why and when."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    connection.execute(
        update(grants_table)
        .where(grants_table.c.id == grant)
        .values(state=state, reason=reason, changed_at=now)
    )


def expire(connection: Connection, today: date) -> bool:
    """Note which grants' last day is over; whether there were any."""
    done = connection.execute(
        update(grants_table)
        .where(grants_table.c.valid_until < today, grants_table.c.state.in_((ACTIVE, SUSPENDED)))
        .values(state=EXPIRED)
    )
    return bool(done.rowcount)


def leave_shares(connection: Connection) -> bool:
    """Grants that are not active use no share any more; whether any did."""
    table = grants_table.c
    left = connection.execute(
        update(grants_table)
        .where(table.state != ACTIVE, or_(table.share.is_not(None), table.opening.is_not(None)))
        .values(share=None, opening=None)
    )
    return bool(left.rowcount)


def leave_all(connection: Connection) -> None:
    """No grant uses a share any more; what each has released stays noted."""
    connection.execute(update(grants_table).values(share=None, opening=None))


def carried_shares(connection: Connection) -> set[str]:
    """The shares that grants use, and those that are opening for them."""
    rows = connection.execute(select(grants_table.c.share, grants_table.c.opening)).all()
    return {name for row in rows for name in row if name}


def refuse_second(grant: Grant, stored: Stored) -> None:
    """`GrantError` where the consumer has that dataset already at that time."""
    other = stored.grant
    if (
        other.consumer.id == grant.consumer.id
        and other.dataset == grant.dataset
        and stored.state not in (TERMINATED, EXPIRED)
        and other.valid_from <= grant.valid_until
        and grant.valid_from <= other.valid_until
    ):
        raise GrantError(
            f"{grant.consumer.id} already has grant {other.id} for {grant.dataset} at that time",
            mend="another purpose is another consumer of the same department",
        )


def new_id() -> str:
    """`g` and 8 hexadecimal digits."""
    return "g" + secrets.token_hex(4)


def _stored(row: RowMapping, consumer: Consumer, catalog: Catalog) -> Stored:
    condition: Any = row["filter"]
    found = None
    if condition and row["state"] not in (TERMINATED, EXPIRED):  # what is over filters nothing
        where = f"filter of grant {row['id']}"
        found = parse_predicate(condition, catalog.dataset(row["dataset"]), where)
    return Stored(
        _grant(row, consumer, found),
        effects_from_json(row["released"]),
        row["share"],
        row["opening"],
        row["state"],
        row["reason"],
        row["changed_at"],
    )


def _grant(row: RowMapping, consumer: Consumer, condition: Predicate | None) -> Grant:
    return Grant(
        id=row["id"],
        consumer=consumer,
        dataset=row["dataset"],
        items=tuple(row["items"]),
        purpose=row["purpose"],
        legal_basis=row["legal_basis"],
        scope=Scope(row["scope"]),
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        impact_assessment=row["impact_assessment"],
        notice=row["notice"],
        filter=condition,
        minors=row["minors"],
        join_domain=row["join_domain"],
        sequence=row["sequence"],
        ended=row["state"] != ACTIVE,
    )
