"""Rules as they stand in a file → limit, forbid, relax; every name checked.

Law: a rule that names what the catalogue does not have, an effect outside a ladder, or
a relax without reason, expiry, author and another approver, is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

from broker.catalog import Catalog
from broker.errors import PolicyError
from broker.model import Dataset, Item, Kind, Level
from broker.policy.effects import at_most
from broker.policy.model import Effect, Forbid, Limit, Relax, Target
from broker.policy.node import Node
from broker.policy.predicate import Predicate, parse_predicate

_HEAD = ("id", "title", "reason", "owner")
_SIGNED = ("author", "approver", "expires")
_TARGET = (
    "datasets", "items", "kinds", "consumers", "departments", "except_departments", "purposes",
)  # fmt: skip
_BODY = {
    "limit": (*_TARGET, "to"),
    "forbid": (*_TARGET, "rows"),
    "relax": (*_TARGET, "at_least", "presence"),
}
_CONSUMER = re.compile(r"[a-z][a-z0-9_]*")


class RuleReader:
    """Reads rules against one catalogue and tier table."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.tier_mask: Mapping[Kind, Effect] = {}

    def rule(self, node: Node) -> Limit | Forbid | Relax:
        """The rule of a node."""
        node.only((*_HEAD, *_BODY, *_SIGNED))
        for word in _HEAD:
            node.text(word)
        words = [word for word in _BODY if node.has(word)]
        if len(words) != 1:
            raise node.wrong("a rule has exactly one of limit, forbid, relax", "split it")
        body = node.need(words[0])
        body.only(_BODY[words[0]])
        target = self._target(body)
        for signed in _SIGNED:
            if words[0] != "relax" and node.has(signed):
                raise node.wrong(f"{signed} belongs to a relax", "remove it", signed)
        if words[0] == "limit":
            return Limit(**_head(node, target), effect=self._effect(body, "to", target))
        if words[0] == "forbid":
            return Forbid(**_head(node, target), rows=self._rows(body, target))
        return self._relax(node, body, target)

    def _relax(self, node: Node, body: Node, target: Target) -> Relax:
        author, approver = node.text("author"), node.text("approver")
        if author == approver:
            raise node.wrong("author and approver are the same", "another officer approves", "id")
        if body.has("at_least") == body.has("presence"):
            raise body.wrong("a relax has either at_least or presence", "keep one of the two")
        effect: Effect | None = None
        presence: Level | None = None
        if body.has("at_least"):
            effect = self._effect(body, "at_least", target)
            for item in self._covered(target):
                mask = self.tier_mask.get(item.kind)
                if mask and not at_most(item.kind, mask, effect) | at_most(item.kind, effect, mask):
                    raise body.wrong(
                        f"{effect} and the tier mask of {item.kind} do not compare",
                        "choose a step of the ladder",
                        "at_least",
                    )
        else:
            name = body.text("presence")
            if name not in Level.__members__:
                raise body.wrong(f"unknown level {name!r}", "L1, L2, L3 or L4", "presence")
            if target.items or target.kinds:
                raise body.wrong("presence is of a dataset, not of items", "remove them")
            presence = Level[name]
        return Relax(
            **_head(node, target),
            author=author,
            approver=approver,
            expires=node.day("expires"),
            effect=effect,
            presence=presence,
        )

    def _target(self, body: Node) -> Target:
        def texts(word: str) -> tuple[str, ...]:
            return body.texts(word) if body.has(word) else ()

        for dataset in texts("datasets"):
            self._one_of(dataset, self._catalog.datasets, body, "datasets", "dataset")
        for word in ("departments", "except_departments"):
            for department in texts(word):
                self._one_of(department, self._catalog.departments, body, word, "department")
        for consumer in texts("consumers"):
            if not _CONSUMER.fullmatch(consumer):
                raise body.wrong(
                    f"{consumer!r} cannot be a consumer's id", "lower case", "consumers"
                )
        target = Target(
            datasets=texts("datasets"),
            items=texts("items"),
            kinds=tuple(body.kind("kinds", name) for name in texts("kinds")),
            consumers=texts("consumers"),
            departments=texts("departments"),
            not_departments=texts("except_departments"),
            purposes=texts("purposes"),
        )
        known = {item.name for dataset in self._datasets(target) for item in dataset.items}
        for item in target.items:
            self._one_of(item, known, body, "items", "item")
        return target

    def _one_of(
        self, name: str, known: Mapping[str, object] | set[str], body: Node, key: str, noun: str
    ) -> None:
        if name not in known:
            raise body.wrong(
                f"there is no {noun} {name!r}", f"one of: {', '.join(sorted(known))}", key
            )

    def _datasets(self, target: Target) -> list[Dataset]:
        return [self._catalog.dataset(name) for name in target.datasets or self._catalog.datasets]

    def _covered(self, target: Target) -> list[Item]:
        return [
            item
            for dataset in self._datasets(target)
            for item in dataset.items
            if (not target.items or item.name in target.items)
            and (not target.kinds or item.kind in target.kinds)
        ]

    def _effect(self, body: Node, key: str, target: Target) -> Effect:
        """The effect at `key`, which must stand on the ladder of every item covered."""
        covered = self._covered(target)
        if not covered:
            raise body.wrong("the rule covers no item", "name items or kinds of its datasets")
        effects = {body.effect(key, item.kind) for item in covered}
        if len(effects) != 1:
            raise body.wrong("the effect differs between the items covered", "split the rule", key)
        return effects.pop()

    def _rows(self, body: Node, target: Target) -> Predicate | None:
        if not body.has("rows"):
            if not target.items and not target.kinds and not target.datasets:
                raise body.wrong("a forbid without a target forbids everything", "name a target")
            return None
        if len(target.datasets) != 1 or target.items or target.kinds:
            raise body.wrong("rows are of exactly one dataset, without items", "name it", "rows")
        dataset = self._catalog.dataset(target.datasets[0])
        try:
            return parse_predicate(body.need("rows").value, dataset, body.where("rows"))
        except PolicyError as error:
            raise body.wrong(error.what, error.mend, "rows") from None


def _head(node: Node, target: Target) -> dict[str, Any]:
    return {
        "id": node.text("id"),
        "title": node.text("title"),
        "reason": node.text("reason"),
        "owner": node.text("owner"),
        "target": target,
        "where": node.where(),
    }
