"""A share 共享主题: one materialised, masked copy of a dataset for an audience.

Law: a share is immutable. Its identity is dataset, effects with parameters, row
predicate, scope and pseudonym domain, never reasons or version numbers; its id is
opaque and never used again.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.log.topics import shared_topic
from broker.model import Dataset, Schema, Scope
from broker.policy.model import Decision, Effect, RowRule
from broker.policy.predicate import parse_predicate, to_json

OPENING, LIVE, CLOSING, CLOSED = "OPENING", "LIVE", "CLOSING", "CLOSED"

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Share:
    """A share. `effects` holds released items only; `domain` is empty without pseudonyms."""

    id: str
    dataset: str
    effects: Mapping[str, Effect]
    rows: RowRule
    domain: str
    schema_id: int
    schema: Schema
    state: str

    @property
    def topic(self) -> str:
        """The shared topic."""
        return shared_topic(self.dataset, self.id)


@dataclass(frozen=True, slots=True)
class Form:
    """What identifies a share, in the form that is stored."""

    dataset: str
    effects: dict[str, Any]
    rows: dict[str, Any]
    domain: str

    @property
    def identity(self) -> str:
        """The hash of the form."""
        text = json.dumps(
            [self.dataset, self.effects, self.rows, self.domain], sort_keys=True, ensure_ascii=False
        )
        return hashlib.sha256(text.encode()).hexdigest()


def form_of(decision: Decision) -> Form:
    """The form of the share that a decision opens."""
    released = decision.released
    masked = any(effect.name == "pseudonym" for effect in released.values())
    return Form(
        decision.dataset,
        effects_to_json(released),
        rows_to_json(decision.rows),
        decision.domain if masked else "",
    )


def new_id() -> str:
    """`s` and 8 random letters or digits."""
    return "s" + "".join(secrets.choice(_ALPHABET) for _ in range(8))


def effects_to_json(effects: Mapping[str, Effect]) -> dict[str, Any]:
    """Effects as stored: `{item: [name, [[parameter, value], …]]}`."""
    return {
        item: [effect.name, [list(one) for one in effect.params]]
        for item, effect in effects.items()
    }


def effects_from_json(stored: Mapping[str, Any]) -> dict[str, Effect]:
    """Effects from their stored form."""
    return {
        item: Effect(name, tuple((key, value) for key, value in params))
        for item, (name, params) in stored.items()
    }


def rows_to_json(rows: RowRule) -> dict[str, Any]:
    """A row rule as stored."""
    return {
        "scope": rows.scope.code,
        "filter": to_json(rows.filter) if rows.filter else None,
        "forbids": [to_json(one) for one in rows.forbids],
    }


def rows_from_json(stored: Mapping[str, Any], dataset: Dataset) -> RowRule:
    """A row rule from its stored form."""
    where = f"share of {dataset.id}"
    return RowRule(
        Scope(stored["scope"]),
        parse_predicate(stored["filter"], dataset, where) if stored["filter"] else None,
        tuple(parse_predicate(one, dataset, where) for one in stored["forbids"]),
    )
