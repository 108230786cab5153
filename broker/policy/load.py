"""Policy files → one immutable policy, type-checked against the catalogue.

Law: what does not load whole does not load at all. Every error names file and line and
says what to do. The order of files and rules means nothing; the version is a hash of
what the files say, not of how they are written.

A folder may hold `tiers.yaml`, `guards.yaml` and `rules/*.yaml`; tiers and guards stand
exactly once, in the first folder: a later one may only add rules.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

from broker.catalog import Catalog
from broker.errors import PolicyError
from broker.model import Kind
from broker.policy.documents import read_document, rule_files, single_file, stray_files
from broker.policy.effects import LADDERS
from broker.policy.guards import SHOWN
from broker.policy.model import Effect, Forbid, Guard, GuardCondition, Limit, Policy, Relax
from broker.policy.node import Node, attempt
from broker.policy.rules import HEAD, ONLY_RELAX, RuleReader

_TESTS = ("is", "finer_than", "hidden")
_WHERE = ("here", "joined", "elsewhere")


def load_policy(folders: Sequence[Path], catalog: Catalog, as_of: date) -> Policy:
    """The policy of these folders on that day; the first `PolicyError` where it is wrong."""
    policy, errors = _load(folders, catalog, as_of)
    if errors:
        raise errors[0]
    return policy


def check_policy(folders: Sequence[Path], catalog: Catalog, as_of: date) -> list[PolicyError]:
    """Everything that is wrong in these folders."""
    return _load(folders, catalog, as_of)[1]


def _load(
    folders: Sequence[Path], catalog: Catalog, as_of: date
) -> tuple[Policy, list[PolicyError]]:
    """The policy, of no use where there are errors, and the errors."""
    errors: list[PolicyError] = []
    errors += attempt(errors, stray_files, folders) or []
    root = attempt(
        errors, lambda: read_document(single_file(folders, "tiers.yaml"), "tiers", errors)
    )
    tiers = _tiers(root, errors) if root else {}
    root = attempt(
        errors, lambda: read_document(single_file(folders, "guards.yaml"), "guards", errors)
    )
    first: dict[str, str] = {}
    guards = [_guard(node, errors) for node in _nodes(root, errors, first)]
    reader = RuleReader(catalog, tiers, errors)
    rules: list[Limit | Forbid | Relax | None] = []
    for file in attempt(errors, rule_files, folders) or ():
        root = attempt(errors, read_document, file, "rules", errors)
        rules.extend(reader.rule(node) for node in _nodes(root, errors, first))
    content = (
        [f"tier {kind} {effect}" for kind, effect in tiers.items()]
        + [json.dumps(_normal(one), sort_keys=True) for one in (*rules, *guards)]
    )  # fmt: skip
    policy = Policy(
        version=hashlib.sha256("\n".join(sorted(content)).encode()).hexdigest()[:12],
        as_of=as_of,
        tier_mask=tiers,
        limits=tuple(rule for rule in rules if isinstance(rule, Limit)),
        forbids=tuple(rule for rule in rules if isinstance(rule, Forbid)),
        relaxes=tuple(rule for rule in rules if isinstance(rule, Relax)),
        guards=tuple(guard for guard in guards if guard),
    )
    return policy, errors


def _nodes(root: Node | None, errors: list[PolicyError], first: dict[str, str]) -> list[Node]:
    """The nodes of a list; an id that another node has already is among `errors`."""
    nodes = attempt(errors, lambda: list(root.each())) if root else None
    for node in nodes or ():
        name = node.value.get("id") if isinstance(node.value, dict) else None
        if not isinstance(name, str) or not name.strip():
            continue
        name = name.strip()
        if name in first:
            what = f"the id {name} is used twice, first at {first[name]}"
            errors.append(node.wrong(what, "give another id", "id"))
        first.setdefault(name, node.where("id"))
    return nodes or []


def _tiers(root: Node, errors: list[PolicyError]) -> dict[Kind, Effect]:
    masks: dict[Kind, Effect] = {}

    def mask(name: str) -> None:
        kind = root.kind(name, name)
        effect = root.effect(name, kind)
        if effect.name in SHOWN or effect.name == "keep":
            raise root.wrong(f"{effect.name} is no tier mask", ONLY_RELAX, name)
        masks[kind] = effect

    words = attempt(errors, root.words)
    for name in words or ():
        attempt(errors, mask, name)
    missing = [kind for kind in LADDERS if kind not in (words or LADDERS)]
    if missing:
        errors.append(root.wrong(f"kinds without a tier mask: {', '.join(missing)}", "add each"))
    return masks


def _guard(node: Node, errors: list[PolicyError]) -> Guard | None:
    if attempt(errors, node.words) is None:
        return None
    before = len(errors)
    errors.extend(node.strangers((*HEAD, "when", "degrade")))
    head: dict[str, Any] = {word: attempt(errors, node.text, word) for word in HEAD}
    when = attempt(errors, lambda: list(node.need("when").each()))
    if when == []:
        errors.append(node.wrong("a guard without a condition", "name one", "when"))
    conditions = [attempt(errors, _condition, one) for one in when or ()]
    degrade = attempt(errors, lambda: _degrade(node.need("degrade")))
    if len(errors) > before:
        return None
    made: dict[str, Any] = {"when": tuple(conditions), "degrade": degrade, "where": node.where()}
    return Guard(**head, **made)


def _degrade(node: Node) -> tuple[tuple[Kind, Effect], ...]:
    found = [(node.kind(name, name), name) for name in node.words()]
    if not found:
        raise node.wrong("degrade names no kind", "kind: effect")
    effects = [(kind, node.effect(name, kind), name) for kind, name in found]
    for _, effect, name in effects:
        if effect.name in SHOWN or effect.name == "keep":
            raise node.wrong(f"a guard does not degrade to {effect.name}", ONLY_RELAX, name)
    return tuple((kind, effect) for kind, effect, _ in effects)


def _condition(node: Node) -> GuardCondition:
    for stranger in node.strangers((*_TESTS, "kinds", "where")):
        raise stranger
    tests = [name for name in _TESTS if node.has(name)]
    if len(tests) != 1:
        raise node.wrong("a condition has exactly one test", f"one of: {', '.join(_TESTS)}")
    test = tests[0]
    where = node.text("where") if node.has("where") else "here"
    if where not in _WHERE:
        raise node.wrong(f"unknown place {where!r}", f"one of: {', '.join(_WHERE)}", "where")
    kinds = node.kinds("kinds")
    effect: Effect | None = None
    if test != "hidden":
        for kind in kinds:
            effect = node.effect(test, kind)
    elif node.value["hidden"] is not True:
        raise node.wrong("hidden takes true", "hidden: true", "hidden")
    return GuardCondition(
        test, kinds, effect, holdings=where == "joined", elsewhere=where == "elsewhere"
    )


def _normal(value: Any) -> Any:
    """Plain data that is equal wherever the meaning is: without places, lists sorted."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {
            one.name: _normal(getattr(value, one.name))
            for one in fields(value)
            if one.name != "where"
        }
        return {type(value).__name__: found}
    if isinstance(value, tuple):
        return sorted(
            (_normal(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True)
        )
    if isinstance(value, Mapping):
        return {str(key): _normal(one) for key, one in value.items()}
    return value if isinstance(value, (str, bool, int, type(None))) else str(value)
