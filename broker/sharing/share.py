"""A share 共享主题: one materialised, masked copy of a dataset for an audience.

Law: a share is immutable. Its identity is dataset, effects with parameters, row
predicate, scope and pseudonym domain, never reasons or version numbers; its id is
opaque and never used again.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.errors import PolicyError
from broker.log.topics import shared_topic
from broker.model import Dataset, Schema, Scope
from broker.policy.compare import within
from broker.policy.model import Decision, Effect, RowRule
from broker.policy.predicate import parse_predicate, to_json

OPENING, LIVE, CLOSING, CLOSED = "OPENING", "LIVE", "CLOSING", "CLOSED"

JOINED = b"joined"
"""Position of a share in a partition where it has caught up and the common pass writes it."""

NOT_PUBLISHED = 0
"""No registry gives this id."""

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Share:
    """A share. `effects` holds released items only; `domain` is empty without pseudonyms;
    `schema_id` is what its frames carry, `NOT_PUBLISHED` until its registry has given it."""

    id: str
    dataset: str
    effects: Mapping[str, Effect]
    rows: RowRule
    domain: str
    schema_id: int
    schema: Schema
    state: str
    topic: str = field(init=False, compare=False)
    """The shared topic; made once, for it is asked for at every step."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "topic", shared_topic(self.dataset, self.id))

    @property
    def published(self) -> bool:
        """Whether its schema has an id: nothing is written before."""
        return self.schema_id != NOT_PUBLISHED


@dataclass(frozen=True, slots=True)
class Form:
    """What identifies a share, in the form that is stored; `registry` is empty where its schema
    stands in our own."""

    dataset: str
    effects: dict[str, Any]
    rows: dict[str, Any]
    domain: str
    registry: str = ""

    @property
    def identity(self) -> str:
        """The hash of the form."""
        parts = [self.dataset, self.effects, self.rows, self.domain]
        if self.registry:
            parts.append(self.registry)
        text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def pseudonymises(decision: Decision) -> bool:
    """Whether a decision releases a pseudonym."""
    return any(effect.name == "pseudonym" for effect in decision.released.values())


def keyed_domain(name: str, generation: int) -> str:
    """The domain's name with its generation; the first has none."""
    return f"{name}#{generation}" if generation else name


def form_of(decision: Decision, generations: Mapping[str, int], registry: str = "") -> Form:
    """The form of the share that a decision opens, in its domain's generation and a registry."""
    domain = keyed_domain(decision.domain, generations.get(decision.domain, 0))
    return Form(
        decision.dataset,
        effects_to_json(decision.released),
        rows_to_json(decision.rows),
        domain if pseudonymises(decision) else "",
        registry,
    )


def lawful(
    form: Form, decision: Decision, generations: Mapping[str, int], dataset: Dataset
) -> bool:
    """Whether a share of that form shows no more than the decision allows now."""
    domain = keyed_domain(decision.domain, generations.get(decision.domain, 0))
    if form.domain not in ("", domain):
        return False
    try:
        rows = rows_from_json(form.rows, dataset)
    except PolicyError:
        return False  # its condition reads an item that the dataset no longer has
    return within(effects_from_json(form.effects), rows, decision, dataset)


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
