"""Shares brought into line with what was decided.

Law: equal outcomes use one share; a narrower decision closes and opens, a purely wider
one opens first and the old share stays until the new one is live. A lapsed share never
comes back: it missed changes. Another registry means another share: what stands in the
log keeps its ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection, insert, select, update

from broker.catalog import Catalog
from broker.policy.model import Decision
from broker.projection.derive import shared_schema
from broker.registry import schema_id_in
from broker.sharing.decided import Decided
from broker.sharing.domains import generations
from broker.sharing.grants import (
    carried_shares,
    expire,
    leave_all,
    leave_shares,
    set_outcome,
)
from broker.sharing.share import CLOSING, LIVE, OPENING, Form, form_of, lawful, new_id
from broker.store.tables import reader as readers
from broker.store.tables import share as shares


@dataclass(frozen=True, slots=True)
class Place:
    """Where a grant reads: its share, and the one that is opening to take its place."""

    share: str | None = None
    opening: str | None = None


@dataclass(frozen=True, slots=True)
class _Open:
    """An open share as stored."""

    id: str
    form: Form
    state: str


def settle(
    connection: Connection, catalog: Catalog, decided: Sequence[Decided], registry: str
) -> tuple[dict[str, Place], bool]:
    """Open, use and close shares so that each grant has the one it should, with its schema in
    that registry (empty: our own).

    The places by grant, and whether anything changed.
    """
    epochs = generations(connection, decided)
    forms = {
        one.grant.id: form_of(one.decision, epochs, registry)
        for one in decided
        if not one.decision.refused
    }
    known = _open_shares(connection)
    in_use = {
        name
        for one in decided
        if one.grant.id in forms
        for name in (one.stored.share, one.stored.opening)
    }
    by_form = {share.form.identity: share for share in known.values() if share.id in in_use}
    places: dict[str, Place] = {}
    changed = False
    for one in decided:
        place = Place()
        form = forms.get(one.grant.id)
        if form is not None:
            target = by_form.get(form.identity)
            if target is None:
                dataset = catalog.dataset(form.dataset)
                schema = shared_schema(dataset, one.decision.released)
                target = _open(connection, form, schema_id_in(connection, schema))
                by_form[form.identity] = target
            current = known.get(one.stored.share or "")
            place = _place(target, current, one.decision, epochs, catalog)
        places[one.grant.id] = place
        before = Place(one.stored.share, one.stored.opening)
        if (place, one.released) != (before, one.stored.released):
            set_outcome(connection, one.grant.id, one.released, place.share, place.opening)
            _note_reader(connection, one.grant.consumer.id, place)
            changed = True
    carried = {name for place in places.values() for name in (place.share, place.opening)}
    return places, _close_all_but(connection, carried) or changed


def take_away(connection: Connection, today: date) -> bool:
    """Close the shares that no grant uses which is still active, without deciding anything;
    whether anything changed."""
    expired = expire(connection, today)
    left = leave_shares(connection)
    closed = _close_all_but(connection, carried_shares(connection))
    return expired or left or closed


def retire(connection: Connection) -> None:
    """Close every share; each grant that stands gets another when it is decided next."""
    leave_all(connection)
    _close_all_but(connection, ())


def _close_all_but(connection: Connection, carried: Iterable[str | None]) -> bool:
    """Open shares other than these are closing; whether there were any."""
    closed = connection.execute(
        update(shares)
        .where(shares.c.state.in_((OPENING, LIVE)), shares.c.id.not_in(set(carried) - {None}))
        .values(state=CLOSING)
    )
    return bool(closed.rowcount)


def _note_reader(connection: Connection, consumer: str, place: Place) -> None:
    """Remember for good whom a share was given to."""
    for name in filter(None, (place.share, place.opening)):
        pair = {"share": name, "consumer": consumer}
        known = select(readers).where(readers.c.share == name, readers.c.consumer == consumer)
        if connection.execute(known).first() is None:
            connection.execute(insert(readers).values(**pair))


def _open_shares(connection: Connection) -> dict[str, _Open]:
    rows = connection.execute(select(shares).where(shares.c.state.in_((OPENING, LIVE)))).all()
    return {
        row.id: _Open(
            row.id,
            Form(row.dataset, row.effects, row.rows, row.domain, row.registry),
            row.state,
        )
        for row in rows
    }


def _place(
    target: _Open,
    current: _Open | None,
    decision: Decision,
    epochs: Mapping[str, int],
    catalog: Catalog,
) -> Place:
    """The target alone; or the current share, where it is live and shows no more than is
    allowed now, with the target opening beside it."""
    if (
        current is None
        or current.id == target.id
        or target.state == LIVE
        or current.state != LIVE
        or not lawful(current.form, decision, epochs, catalog.dataset(decision.dataset))
    ):
        return Place(target.id)
    return Place(current.id, target.id)


def _open(connection: Connection, form: Form, schema_id: int) -> _Open:
    taken = set(connection.execute(select(shares.c.id)).scalars())
    name = new_id()
    while name in taken:
        name = new_id()
    connection.execute(
        insert(shares).values(
            id=name,
            dataset=form.dataset,
            identity=form.identity,
            effects=form.effects,
            rows=form.rows,
            domain=form.domain,
            registry=form.registry,
            schema_id=schema_id,
            state=OPENING,
            opened_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )
    return _Open(name, form, OPENING)
