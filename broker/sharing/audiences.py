"""Who may read which share: of the open shares, those that a decision of today allows.

Law: a share has an audience only as long as it shows no more than today's decision of a grant
that uses it; whether somebody has called `settle` since does not matter.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from broker.catalog import Catalog
from broker.policy.model import Effect, Grant
from broker.registry import Registry
from broker.sharing.decided import Decided
from broker.sharing.share import (
    LIVE,
    NOT_PUBLISHED,
    OPENING,
    Form,
    Share,
    effects_from_json,
    lawful,
    rows_from_json,
)
from broker.store.tables import share as shares_table


@dataclass(frozen=True, slots=True)
class Audience:
    """A share, and the grants of those that may read it today."""

    share: Share
    grants: Sequence[Grant]

    @property
    def readers(self) -> list[str]:
        """The consumers, by their ids."""
        return sorted({grant.consumer.id for grant in self.grants})


class Audiences:
    """Finds them; and makes shares of what is stored."""

    def __init__(self, catalog: Catalog, registry: Registry) -> None:
        self._catalog = catalog
        self._registry = registry

    def of(
        self, decided: Sequence[Decided], rows: Mapping[str, Any], generations: Mapping[str, int]
    ) -> list[Audience]:
        """Of these open shares, as stored, those that the decisions allow."""
        forms = {
            name: Form(row["dataset"], row["effects"], row["rows"], row["domain"])
            for name, row in rows.items()
        }
        readers: dict[str, list[Grant]] = defaultdict(list)
        for one in decided:
            dataset = self._catalog.dataset(one.grant.dataset)
            for name in filter(None, dict.fromkeys((one.stored.share, one.stored.opening))):
                if name in forms and lawful(forms[name], one.decision, generations, dataset):
                    readers[name].append(one.grant)
        return [Audience(self.share(rows[name]), readers[name]) for name in rows if name in readers]

    def share(self, row: Any) -> Share:
        """A share as stored."""
        return Share(
            id=row["id"],
            dataset=row["dataset"],
            effects=effects_from_json(row["effects"]),
            rows=rows_from_json(row["rows"], self._catalog.dataset(row["dataset"])),
            domain=row["domain"],
            schema_id=row["id_there"] or NOT_PUBLISHED if row["registry"] else row["schema_id"],
            schema=self._registry.schema(row["schema_id"]),
            state=row["state"],
        )


def open_rows(connection: Connection) -> dict[str, Any]:
    """The open shares as stored, by id."""
    is_open = shares_table.c.state.in_((OPENING, LIVE))
    query = select(shares_table).where(is_open).order_by(shares_table.c.id)
    return {row["id"]: row for row in connection.execute(query).mappings()}


def shown(connection: Connection) -> dict[str, Mapping[str, Effect]]:
    """What each open share shows, as stored."""
    return {name: effects_from_json(row["effects"]) for name, row in open_rows(connection).items()}
