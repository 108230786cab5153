"""Rules as they stand in a file → limit, forbid, relax; every name checked.

Law: a rule that names what the catalogue does not have, an effect outside a ladder, or
a relax without reason, expiry, author and another approver, is refused. Edges and tail4
come only from a relax, and only where what they show can be kept.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from broker.catalog import Catalog
from broker.errors import PolicyError
from broker.model import Dataset, Item, Kind, Level
from broker.policy.effects import at_most
from broker.policy.guards import SHOWN, shown_is_kept
from broker.policy.model import DROP, KEEP, Effect, Forbid, Limit, Relax, Target, same_person
from broker.policy.node import Node, attempt
from broker.policy.predicate import Predicate, parse_predicate

HEAD = ("id", "title", "reason", "owner")
ONLY_RELAX = "edges and tail4 only by a relax"
AUTHORITY = "authority"
"""The sharing authority 共享主管部门, who owns what is no department's own."""
_STRICTER = "name a stricter step of the ladder"
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
_RESERVED = "shuqiao"


class RuleReader:
    """Reads rules against one catalogue and tier table, and notes whatever is wrong.

    What cannot be read becomes None on the way; it never reaches a policy, because a
    policy with an error is none.
    """

    def __init__(
        self, catalog: Catalog, tier_mask: Mapping[Kind, Effect], errors: list[PolicyError]
    ) -> None:
        self._catalog = catalog
        self._tier_mask = tier_mask
        self._errors = errors

    def rule(self, node: Node) -> Limit | Forbid | Relax | None:
        """The rule of a node; None where anything is wrong with it."""
        errors, before = self._errors, len(self._errors)
        if attempt(errors, node.words) is None:
            return None
        errors.extend(node.strangers((*HEAD, *_BODY, *_SIGNED)))
        head: dict[str, Any] = {word: attempt(errors, node.text, word) for word in HEAD}
        if head["owner"]:
            owners = {*self._catalog.departments, AUTHORITY}
            self._names(node, "owner", (head["owner"],), "owner", owners)
        words = [word for word in _BODY if node.has(word)]
        if len(words) != 1:
            errors.append(node.wrong("a rule has exactly one of limit, forbid, relax", "split it"))
            return None
        body = attempt(errors, node.need, words[0])
        if body is None or attempt(errors, body.words) is None:
            return None
        if words[0] != "forbid" and body.has("rows"):
            errors.append(body.wrong(f"a {words[0]} carries no rows", "only forbid does", "rows"))
        known = (*_BODY[words[0]], "rows")
        errors.extend(body.strangers(known if body.has("rows") else _BODY[words[0]]))
        target = self._target(body)
        signed = self._signed(node, words[0] == "relax")
        if target is None:
            return None
        made = self._made(words[0], body, target)
        if len(errors) > before:
            return None
        head.update(target=target, where=node.where(), **made)
        if words[0] == "limit":
            return Limit(**head)
        return Forbid(**head) if words[0] == "forbid" else Relax(**head, **signed)

    def _signed(self, node: Node, relax: bool) -> dict[str, Any]:
        errors = self._errors
        if not relax:
            errors.extend(
                node.wrong(f"{word} belongs to a relax", "remove it", word)
                for word in _SIGNED
                if node.has(word)
            )
            return {}
        author = attempt(errors, node.text, "author")
        approver = attempt(errors, node.text, "approver")
        if author and approver and same_person(author, approver):
            errors.append(
                node.wrong(
                    "author and approver are the same", "another officer approves", "approver"
                )
            )
        expires = attempt(errors, node.day, "expires")
        return {"author": author, "approver": approver, "expires": expires}

    def _made(self, word: str, body: Node, target: Target) -> dict[str, Any]:
        """What only this sort of rule has."""
        errors = self._errors
        if word == "limit":
            effect = attempt(errors, self._effect, body, "to", target)
            if effect is not None and effect.name in SHOWN:
                errors.append(body.wrong(f"a limit to {effect.name}", ONLY_RELAX, "to"))
            if effect == KEEP:
                errors.append(body.wrong("a limit to keep limits nothing", _STRICTER, "to"))
            return {"effect": effect}
        if word == "forbid":
            return {"rows": attempt(errors, self._rows, body, target)}
        if not target.datasets:
            errors.append(body.wrong("a relax of every dataset", "name its datasets"))
        if body.has("at_least") == body.has("presence"):
            errors.append(
                body.wrong("a relax has either at_least or presence", "keep one of the two")
            )
            return {}
        if body.has("presence"):
            return {"presence": attempt(errors, self._presence, body, target)}
        if not target.items and not target.kinds:
            errors.append(body.wrong("a relax of every item", "name its items or kinds"))
        return {"effect": attempt(errors, self._at_least, body, target)}

    def _at_least(self, body: Node, target: Target) -> Effect:
        effect = self._effect(body, "at_least", target)
        if effect == DROP:
            raise body.wrong("a relax to drop relaxes nothing", "name what it shows", "at_least")
        for dataset, item in self._covered(target):
            mask = self._tier_mask.get(item.kind)
            if mask and not at_most(item.kind, mask, effect) | at_most(item.kind, effect, mask):
                raise body.wrong(
                    f"{effect} and the tier mask of {item.kind} do not compare",
                    "choose a step of the ladder",
                    "at_least",
                )
            at_best = {**{one.name: KEEP for one in dataset.items}, item.name: effect}
            if effect.name in SHOWN and not shown_is_kept(item, dataset, at_best):
                raise body.wrong(
                    f"{dataset.id} has no item for something that {effect.name} of {item.name} "
                    "shows",
                    "the guard would always take it back; choose pseudonym or keep",
                    "at_least",
                )
        return effect

    def _target(self, body: Node) -> Target | None:
        """Whom and what the rule is about; None where a name is wrong."""
        before = len(self._errors)
        texts = {
            word: attempt(self._errors, body.texts, word) or ()
            for word in _TARGET
            if body.has(word)
        }
        self._names(body, "datasets", texts.get("datasets", ()), "dataset", self._catalog.datasets)
        for word in ("departments", "except_departments"):
            self._names(body, word, texts.get(word, ()), "department", self._catalog.departments)
        for at, consumer in enumerate(texts.get("consumers", ())):
            if not _CONSUMER.fullmatch(consumer) or consumer == _RESERVED:
                self._errors.append(
                    body.wrong(
                        f"{consumer!r} cannot be a consumer's id",
                        f"small letters, digits and _, letter first; not {_RESERVED}",
                        "consumers",
                        at,
                    )
                )
        kinds: tuple[Kind, ...] = ()
        if "kinds" in texts:
            kinds = attempt(self._errors, body.kinds, "kinds") or ()
        if len(self._errors) > before:
            return None
        target = Target(
            datasets=texts.get("datasets", ()),
            items=texts.get("items", ()),
            kinds=kinds,
            consumers=texts.get("consumers", ()),
            departments=texts.get("departments", ()),
            not_departments=texts.get("except_departments", ()),
            purposes=texts.get("purposes", ()),
        )
        items = {item.name for dataset in self._datasets(target) for item in dataset.items}
        self._names(body, "items", target.items, "item", items)
        if len(self._errors) > before:
            return None
        self._idle(body, target)
        self._nobody(body, target)
        return target if len(self._errors) == before else None

    def _names(
        self, body: Node, key: str, names: Sequence[str], noun: str, known: Collection[str]
    ) -> None:
        """Note every name at `key` that is not known."""
        for at, name in enumerate(names):
            if name not in known:
                mend = f"one of: {', '.join(sorted(known))}"
                self._errors.append(body.wrong(f"there is no {noun} {name!r}", mend, key, at))

    def _idle(self, body: Node, target: Target) -> None:
        """Note a dataset, an item or a kind that the rule names and does not cover: a slip."""
        covered = self._covered(target)
        for at, name in enumerate(target.datasets):
            if all(dataset.id != name for dataset, _ in covered):
                self._errors.append(
                    body.wrong(f"of {name} the rule covers no item", "split it", "datasets", at)
                )
        for at, name in enumerate(target.items):
            if all(item.name != name for _, item in covered):
                self._errors.append(
                    body.wrong(f"{name} is of no kind that the rule names", "drop it", "items", at)
                )
        for at, kind in enumerate(target.kinds):
            if target.datasets and covered and all(item.kind is not kind for _, item in covered):
                self._errors.append(
                    body.wrong(f"the rule covers no {kind}", "drop it", "kinds", at)
                )

    def _nobody(self, body: Node, target: Target) -> None:
        """Note a rule that no department can ever meet."""
        everybody = target.departments or tuple(self._catalog.departments)
        if set(everybody) <= set(target.not_departments):
            self._errors.append(
                body.wrong("the rule is about no department", "mend it", "except_departments")
            )

    def _datasets(self, target: Target) -> list[Dataset]:
        return [self._catalog.dataset(name) for name in target.datasets or self._catalog.datasets]

    def _covered(self, target: Target) -> list[tuple[Dataset, Item]]:
        return [
            (dataset, item)
            for dataset in self._datasets(target)
            for item in dataset.items
            if (not target.items or item.name in target.items)
            and (not target.kinds or item.kind in target.kinds)
        ]

    def _effect(self, body: Node, key: str, target: Target) -> Effect:
        """The effect at `key`, which must stand on the ladder of whatever is covered."""
        kinds = [] if target.items else list(target.kinds)
        kinds += [item.kind for _, item in self._covered(target)]
        effects = {body.effect(key, kind) for kind in kinds}
        if len(effects) != 1:
            raise body.wrong("the effect differs between the items covered", "split the rule", key)
        return effects.pop()

    def _rows(self, body: Node, target: Target) -> Predicate | None:
        if not body.has("rows"):
            if target == Target():
                raise body.wrong("a forbid without a target forbids everything", "name a target")
            return None
        if len(target.datasets) != 1 or target.items or target.kinds:
            raise body.wrong("rows are of exactly one dataset, without items", "name it", "rows")
        rows = body.need("rows")
        dataset = self._catalog.dataset(target.datasets[0])
        return parse_predicate(rows.plain(), dataset, rows.where())

    def _presence(self, body: Node, target: Target) -> Level:
        name = body.text("presence")
        if name not in Level.__members__:
            raise body.wrong(f"unknown level {name!r}", "L1, L2, L3 or L4", "presence")
        if target.items or target.kinds:
            raise body.wrong("presence is of a dataset, not of items", "remove them", "presence")
        for at, dataset in enumerate(target.datasets):
            own = self._catalog.dataset(dataset).presence
            if own <= Level[name]:
                what = f"{dataset} is at {own.name} already: {name} relaxes nothing"
                raise body.wrong(what, "name a lower level", "datasets", at)
        return Level[name]
