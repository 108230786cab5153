"""Policy files → one immutable policy, type-checked against the catalogue.

Law: what does not load whole does not load at all. Every error names file and line and
says what to do. The order of files and rules means nothing; the version is a hash of
what the files say, not of how they are written.

A folder may hold `tiers.yaml`, `guards.yaml` and `rules/*.yaml`; tiers and guards stand
exactly once among all folders.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from broker.catalog import Catalog
from broker.errors import PolicyError
from broker.marked import load_marked
from broker.model import Kind
from broker.policy.effects import LADDERS
from broker.policy.model import Effect, Forbid, Guard, GuardCondition, Limit, Policy, Relax
from broker.policy.node import Node
from broker.policy.rules import RuleReader

_TESTS = ("is", "finer_than", "hidden")
_WHERE = ("here", "joined", "elsewhere")


def load_policy(folders: Sequence[Path], catalog: Catalog, as_of: date) -> Policy:
    """The policy of these folders on that day; the first `PolicyError` where it is wrong."""
    policy, errors = _load(folders, catalog, as_of)
    if errors or policy is None:
        raise errors[0]
    return policy


def check_policy(folders: Sequence[Path], catalog: Catalog, as_of: date) -> list[PolicyError]:
    """Everything that is wrong in these folders."""
    return _load(folders, catalog, as_of)[1]


def _load(
    folders: Sequence[Path], catalog: Catalog, as_of: date
) -> tuple[Policy | None, list[PolicyError]]:
    errors: list[PolicyError] = []
    content: list[str] = []
    tiers: dict[Kind, Effect] = {}
    guards: list[Guard] = []
    reader = RuleReader(catalog)
    rules: list[Limit | Forbid | Relax] = []
    for name in ("tiers.yaml", "guards.yaml"):
        found = [folder / name for folder in folders if (folder / name).exists()]
        if len(found) != 1:
            places = ", ".join(str(folder) for folder in folders)
            errors.append(
                PolicyError(
                    f"{name} stands {len(found)} times, not once", where=places, mend="keep one"
                )
            )
            continue
        try:
            root = _document(found[0], name.removesuffix(".yaml"), content)
            if name == "tiers.yaml":
                tiers = _tiers(root)
            else:
                guards = [_guard(one) for one in root.each()]
        except PolicyError as error:
            errors.append(error)
    reader.tier_mask = tiers
    for file in (file for folder in folders for file in sorted(folder.glob("rules/*.yaml"))):
        try:
            nodes = list(_document(file, "rules", content).each())
        except PolicyError as error:
            errors.append(error)
            continue
        for node in nodes:
            try:
                rules.append(reader.rule(node))
            except PolicyError as error:
                errors.append(error)
    errors.extend(_twice([*rules, *guards]))
    if errors:
        return None, errors
    version = hashlib.sha256("\n".join(sorted(content)).encode()).hexdigest()[:12]
    policy = Policy(
        version=version,
        as_of=as_of,
        tier_mask=tiers,
        limits=tuple(rule for rule in rules if isinstance(rule, Limit)),
        forbids=tuple(rule for rule in rules if isinstance(rule, Forbid)),
        relaxes=tuple(rule for rule in rules if isinstance(rule, Relax)),
        guards=tuple(guards),
    )
    return policy, []


def _document(file: Path, word: str, content: list[str]) -> Node:
    """What stands under the one word of a file; its content is noted for the version."""
    root = Node(load_marked(file, PolicyError), str(file))
    root.only((word,))
    body = root.need(word)
    parts = body.value if isinstance(body.value, list) else [body.value]
    content.extend(
        f"{word} {json.dumps(part, sort_keys=True, ensure_ascii=False, default=str)}"
        for part in parts
    )
    return body


def _tiers(root: Node) -> dict[Kind, Effect]:
    masks: dict[Kind, Effect] = {}
    for name in root.words():
        kind = root.kind(name, name)
        masks[kind] = root.effect(name, kind)
        if masks[kind].name in ("edges", "tail4", "keep"):
            raise root.wrong(
                f"{masks[kind].name} is no tier mask", "edges and tail4 only by a relax", name
            )
    missing = [kind for kind in LADDERS if kind not in masks]
    if missing:
        raise root.wrong(f"kinds without a tier mask: {', '.join(missing)}", "add each")
    return masks


def _guard(node: Node) -> Guard:
    node.only(("id", "title", "reason", "owner", "when", "degrade"))
    degrade = node.need("degrade")
    if not degrade.words():
        raise node.wrong("degrade names no kind", "kind: effect", "degrade")
    return Guard(
        id=node.text("id"),
        title=node.text("title"),
        reason=node.text("reason"),
        owner=node.text("owner"),
        when=tuple(_condition(one) for one in node.need("when").each()),
        degrade=tuple(
            (kind, degrade.effect(name, kind))
            for name in degrade.words()
            for kind in [degrade.kind(name, name)]
        ),
        where=node.where(),
    )


def _condition(node: Node) -> GuardCondition:
    node.only((*_TESTS, "kinds", "where"))
    tests = [name for name in _TESTS if node.has(name)]
    if len(tests) != 1:
        raise node.wrong("a condition has exactly one test", f"one of: {', '.join(_TESTS)}")
    test = tests[0]
    where = node.text("where") if node.has("where") else "here"
    if where not in _WHERE:
        raise node.wrong(f"unknown place {where!r}", f"one of: {', '.join(_WHERE)}", "where")
    kinds = tuple(node.kind("kinds", name) for name in node.texts("kinds"))
    effect: Effect | None = None
    if test != "hidden":
        for kind in kinds:
            effect = node.effect(test, kind)
    elif node.value["hidden"] is not True:
        raise node.wrong("hidden takes true", "hidden: true", "hidden")
    return GuardCondition(
        test, kinds, effect, holdings=where == "joined", elsewhere=where == "elsewhere"
    )


def _twice(named: Sequence[Limit | Forbid | Relax | Guard]) -> list[PolicyError]:
    first: dict[str, str] = {}
    errors: list[PolicyError] = []
    for one in named:
        if one.id in first:
            errors.append(
                PolicyError(
                    f"the id {one.id} is used twice, first at {first[one.id]}",
                    where=one.where,
                    mend="give another id",
                )
            )
        first.setdefault(one.id, one.where)
    return errors
