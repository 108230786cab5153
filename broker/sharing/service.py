"""Consumers, grants and the shares that follow from them.

Law: shares are a function of grants, policy and day. `settle` computes them: every
active grant is decided with the holdings of its department; equal outcomes use one
share; a grant that is not active, or is refused, has none. A share is written and read
only as long as today's decision of a grant gives exactly it; whether somebody has called
`settle` since does not matter. A lapsed share never comes back: it missed changes.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, select, update

from broker.catalog import Catalog
from broker.divisions import Divisions
from broker.errors import GrantError
from broker.keyring import Keyring
from broker.model import Dataset, Level
from broker.policy.decide import decide
from broker.policy.effects import join
from broker.policy.model import Consumer, Decision, Effect, Grant, Holding, Policy
from broker.projection.derive import shared_schema
from broker.registry import Registry, schema_id_in
from broker.sharing import grants as ledger
from broker.sharing.application import Application
from broker.sharing.share import (
    CLOSING,
    OPENING,
    Form,
    Share,
    effects_from_json,
    form_of,
    new_id,
    rows_from_json,
)
from broker.store.engine import Store
from broker.store.tables import share as shares_table

_CONSUMER_ID = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A grant, what was decided, and the share that carries it (None: refused)."""

    grant: Grant
    decision: Decision
    share: Share | None


@dataclass(frozen=True, slots=True)
class _Decided:
    """A grant decided; `released` is the loosest it ever released, now included."""

    grant: Grant
    decision: Decision
    released: Mapping[str, Effect]
    stored: ledger.Stored


_Found = TypeVar("_Found", ledger.Stored, _Decided)


class Sharing:
    """The sharing service over one control store, under one policy."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        divisions: Divisions,
        registry: Registry,
        keyring: Keyring,
        policy: Policy,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._divisions = divisions
        self._registry = registry
        self._keyring = keyring
        self._policy = policy

    def add_consumer(self, name: str, department: str, tier: Level, title: str) -> Consumer:
        """Register a consumer 使用方."""
        if not _CONSUMER_ID.fullmatch(name) or name == "shuqiao" or len(name) > 64:
            raise GrantError(
                f"{name!r} cannot be a consumer's id",
                mend="a lower-case letter, then letters, digits and underscores; not shuqiao",
            )
        if department not in self._catalog.departments:
            known = ", ".join(sorted(self._catalog.departments))
            raise GrantError(f"there is no department {department!r}", mend=f"one of: {known}")
        consumer = Consumer(name, department, tier)
        with self._store.writing() as connection:
            if name in ledger.all_consumers(connection):
                raise GrantError(
                    f"there is already a consumer {name}",
                    mend="another purpose is another consumer: choose another id",
                )
            ledger.put_consumer(connection, consumer, title)
        return consumer

    def consumers(self) -> list[Consumer]:
        """Every consumer."""
        with self._store.reading() as connection:
            return list(ledger.all_consumers(connection).values())

    def add_grant(self, asked: Application) -> Outcome:
        """Give a grant, decide it, and open its share or use an equal one."""
        with self._store.writing() as connection:
            consumer = ledger.all_consumers(connection).get(asked.consumer)
            if consumer is None:
                raise GrantError(
                    f"there is no consumer {asked.consumer!r}", mend="`shuqiao consumer add` first"
                )
            grant = asked.grant(consumer, self._catalog, self._divisions)
            for stored in ledger.all_grants(connection, self._catalog):
                _refuse_second(grant, stored.grant)
            ledger.put_grant(connection, grant)
        return next(outcome for outcome in self.settle() if outcome.grant.id == grant.id)

    def settle(self) -> list[Outcome]:
        """Decide every grant as of the policy's day and bring the shares into line."""
        with self._store.writing() as connection:
            decided = self._decided(ledger.all_grants(connection, self._catalog))
            forms = {
                one.grant.id: (form_of(one.decision), self._schema_id(connection, one.decision))
                for one in decided
                if not one.decision.refused
            }
            carried = _bring_into_line(connection, decided, forms)
        shares = {share.id: share for share in self.shares()}
        for share in shares.values():
            self._keyring.ensure(f"share.{share.id}")
            if share.domain:
                self._keyring.ensure(f"pseudonym.{share.domain}")
        return [
            Outcome(one.grant, one.decision, shares.get(carried[one.grant.id] or ""))
            for one in decided
        ]

    def decision(self, grant: str) -> Decision:
        """What the policy says of a grant now."""
        with self._store.reading() as connection:
            decided = self._decided(ledger.all_grants(connection, self._catalog))
        return _find(grant, decided).decision

    def grants(self) -> list[Grant]:
        """Every grant, in the order given."""
        with self._store.reading() as connection:
            return [one.grant for one in ledger.all_grants(connection, self._catalog)]

    def grant(self, grant: str) -> Grant:
        """The grant of that id."""
        with self._store.reading() as connection:
            return _find(grant, ledger.all_grants(connection, self._catalog)).grant

    def shares(self, dataset: str = "") -> list[Share]:
        """The shares that today's decisions give, of one dataset or of all."""
        return [share for share, _ in self.audiences(dataset)]

    def audiences(self, dataset: str = "") -> list[tuple[Share, list[str]]]:
        """The same shares, each with the consumers that may read it today."""
        query = select(shares_table).where(shares_table.c.state == OPENING)
        with self._store.reading() as connection:
            decided = self._decided(ledger.all_grants(connection, self._catalog))
            rows = connection.execute(query.order_by(shares_table.c.id)).mappings().all()
        identity = {row["id"]: row["identity"] for row in rows}
        readers: dict[str, list[str]] = defaultdict(list)
        for one in decided:
            share = one.stored.share or ""
            if share in identity and _still(one.decision, identity[share]):
                readers[share].append(one.grant.consumer.id)
        return [
            (self._share(row), sorted(readers[row["id"]]))
            for row in rows
            if row["id"] in readers and dataset in ("", row["dataset"])
        ]

    def readable(self, share: str, consumer: str) -> Share:
        """The share, where the consumer may read it today; `GrantError` otherwise."""
        for found, readers in self.audiences():
            if found.id == share and consumer in readers:
                return found
        raise GrantError(
            f"{consumer} has no right to a share {share}",
            mend="`shuqiao share list` shows every share and who may read it",
        )

    def _decided(self, stored: Iterable[ledger.Stored]) -> list[_Decided]:
        """Every grant decided in the order given, each with its department's earlier ones.

        A grant whose first day is still to come holds what it will release then.
        """
        held: dict[str, list[tuple[Holding, Dataset]]] = defaultdict(list)
        decided: list[_Decided] = []
        for one in stored:
            grant = one.grant
            dataset = self._catalog.dataset(grant.dataset)
            holdings = held[grant.consumer.department]
            decision = decide(grant, holdings, dataset, self._policy)
            released = _joined(one.released, decision, dataset)
            first = replace(self._policy, as_of=max(self._policy.as_of, grant.valid_from))
            coming = decide(grant, holdings, dataset, first)
            holdings.append((Holding(grant, _joined(released, coming, dataset)), dataset))
            decided.append(_Decided(grant, decision, released, one))
        return decided

    def _schema_id(self, connection: Connection, decision: Decision) -> int:
        dataset = self._catalog.dataset(decision.dataset)
        return schema_id_in(connection, shared_schema(dataset, decision.released))

    def _share(self, row: Any) -> Share:
        return Share(
            id=row["id"],
            dataset=row["dataset"],
            effects=effects_from_json(row["effects"]),
            rows=rows_from_json(row["rows"], self._catalog.dataset(row["dataset"])),
            domain=row["domain"],
            schema_id=row["schema_id"],
            schema=self._registry.schema(row["schema_id"]),
            state=row["state"],
        )


def _still(decision: Decision, identity: str) -> bool:
    """Whether a share of that identity is what the decision gives now."""
    return not decision.refused and form_of(decision).identity == identity


def _joined(
    released: Mapping[str, Effect], decision: Decision, dataset: Dataset
) -> dict[str, Effect]:
    """What was released, together with what the decision releases: the looser of each item."""
    joined = dict(released)
    for name, effect in decision.released.items() if not decision.refused else ():
        joined[name] = join(dataset.by_name[name].kind, joined.get(name, effect), effect)
    return joined


def _bring_into_line(
    connection: Connection, decided: list[_Decided], forms: dict[str, tuple[Form, int]]
) -> dict[str, str | None]:
    """Open, use and close shares so that each grant has the one it should; share by grant."""
    columns = shares_table.c
    is_open = columns.state == OPENING
    rows = connection.execute(select(columns.id, columns.identity).where(is_open)).all()
    in_use = {one.stored.share for one in decided if one.grant.id in forms}
    by_identity = {row.identity: row.id for row in rows if row.id in in_use}
    carried: dict[str, str | None] = {}
    for one in decided:
        share = None
        if one.grant.id in forms:
            form, schema_id = forms[one.grant.id]
            share = by_identity.get(form.identity) or _open(connection, form, schema_id)
            by_identity[form.identity] = share
        carried[one.grant.id] = share
        if (share, one.released) != (one.stored.share, one.stored.released):
            ledger.set_outcome(connection, one.grant.id, one.released, share)
    for name in {row.id for row in rows} - set(carried.values()):
        connection.execute(update(shares_table).where(columns.id == name).values(state=CLOSING))
    return carried


def _open(connection: Connection, form: Form, schema_id: int) -> str:
    taken = set(connection.execute(select(shares_table.c.id)).scalars())
    name = new_id()
    while name in taken:
        name = new_id()
    connection.execute(
        insert(shares_table).values(
            id=name,
            dataset=form.dataset,
            identity=form.identity,
            effects=form.effects,
            rows=form.rows,
            domain=form.domain,
            schema_id=schema_id,
            state=OPENING,
        )
    )
    return name


def _find(name: str, among: Iterable[_Found]) -> _Found:
    for one in among:
        if one.grant.id == name:
            return one
    raise GrantError(f"there is no grant {name!r}", mend="`shuqiao grant list` shows them")


def _refuse_second(grant: Grant, other: Grant) -> None:
    if (
        other.consumer.id == grant.consumer.id
        and other.dataset == grant.dataset
        and not other.ended
        and other.valid_from <= grant.valid_until
        and grant.valid_from <= other.valid_until
    ):
        raise GrantError(
            f"{grant.consumer.id} already has grant {other.id} for {grant.dataset} at that time",
            mend="another purpose is another consumer of the same department",
        )
