"""The decision: for one grant and one dataset, what each item becomes, and why.

Law: pure and total. Default deny; strictest wins; errors deny. Per item:

    guards( meet( presence cap, every limit, every forbid, max( tier effect, every relax )))

A limit or forbid of an item also hides whatever contains it (an ID number contains the
birth date), where that would show more. The order of rules and holdings does not matter.
"""

from collections.abc import Iterable, Sequence

from broker.model import DIRECT_IDENTIFIERS, Dataset, Item, Kind, Level, Sharing
from broker.policy.effects import LADDERS, at_most, loosest_of, meet, parse_effect
from broker.policy.guards import guarded
from broker.policy.model import (
    DROP,
    KEEP,
    Consumer,
    Decision,
    Effect,
    Grant,
    Holding,
    Policy,
    Reason,
    Refusal,
    Relax,
    RowRule,
    Target,
    same_person,
)
from broker.policy.predicate import age_under, items_read

Reasons = dict[str, tuple[Reason, ...]]
_Cap = tuple[str, str, Effect, str]
"""By what kind of rule, its id, the effect at most, its title."""
_CONTAINED_AS = {Kind.DIVISION_CODE: parse_effect(Kind.DIVISION_CODE, "county")}
"""How finely a number shows what it contains, where not in full: an ID number's first six
digits name a county (GB 11643)."""
MINOR_AGE = 14
"""《个人信息保护法》 article 28: information of people under 14 is sensitive."""


def decide(
    grant: Grant,
    holdings: Sequence[tuple[Holding, Dataset]],
    dataset: Dataset,
    policy: Policy,
) -> Decision:
    """The decision. `holdings` are the department's earlier grants, each with its dataset."""
    effects, reasons = unguarded(grant, dataset, policy)
    effects, degraded = guarded(grant, dataset, effects, policy.guards, holdings)
    for name, reason in degraded:
        reasons[name] = (*reasons[name], reason)
    rows, row_reasons = _rows(grant, dataset, policy)
    return Decision(
        grant=grant.id,
        consumer=grant.consumer.id,
        dataset=dataset.id,
        policy_version=policy.version,
        effects=effects,
        rows=rows,
        row_reasons=row_reasons,
        domain=grant.domain,
        reasons=reasons,
        refused=_refusal(grant, dataset, policy, effects),
    )


def unguarded(grant: Grant, dataset: Dataset, policy: Policy) -> tuple[dict[str, Effect], Reasons]:
    """The effects before the guards, and what determined them."""
    closed = _closed(grant, dataset, policy)
    effects: dict[str, Effect] = {}
    reasons: Reasons = {}
    for item in dataset.items:
        if closed is not None:
            effects[item.name], reasons[item.name] = DROP, (closed,)
        elif item.name not in grant.items:
            effects[item.name] = DROP
            reasons[item.name] = (Reason("not_asked", "not_asked", DROP),)
        else:
            effects[item.name], reasons[item.name] = _item(item, grant, dataset, policy)
    return effects, reasons


def presence_level(grant: Grant, dataset: Dataset, policy: Policy) -> Level:
    """The dataset's presence level for this grant, after the relaxes that lower it."""
    lowest, _ = _presence(grant, dataset, policy)
    return lowest


def tier_effect(item: Item, consumer: Consumer, policy: Policy) -> Effect:
    """What the tier table alone gives: keep, the kind's mask, or drop."""
    gap = item.level - consumer.tier
    if gap <= 0:
        return KEEP
    return policy.tier_mask.get(item.kind, DROP) if gap == 1 else DROP


def presence_cap(kind: Kind, gap: int) -> Effect:
    """The most an item of this kind may show where being in the dataset is itself sensitive."""
    if gap <= 0:
        return KEEP
    if gap >= 2:
        return DROP
    if kind in DIRECT_IDENTIFIERS:
        return hidden(kind)
    return parse_effect(kind, "town") if kind is Kind.DIVISION_CODE else KEEP


def _presence(grant: Grant, dataset: Dataset, policy: Policy) -> tuple[Level, list[Relax]]:
    """The presence level for this grant, and the relaxes that lowered it so far."""
    lowest, lowering = dataset.presence, list[Relax]()
    for relax in policy.relaxes:
        level = relax.presence
        if level is None or level > lowest or not _valid(relax, policy):
            continue
        if _meant(relax.target, grant.consumer, grant.purpose, dataset.id):
            lowering = [*lowering, relax] if level == lowest < dataset.presence else [relax]
            lowest = level
    return lowest, lowering if lowest < dataset.presence else []


def _item(
    item: Item, grant: Grant, dataset: Dataset, policy: Policy
) -> tuple[Effect, tuple[Reason, ...]]:
    base, reasons = _base(item, grant, dataset, policy)
    caps, lowered = _caps(item, base, grant, dataset, policy)
    caps += _contained(item, base, grant, dataset, policy)
    effect = _capped(item, base, caps)
    binding = {cap for cap in caps if not at_most(item.kind, base, cap[2])}
    reasons += lowered + [Reason(by, name, cap, title) for by, name, cap, title in sorted(binding)]
    return effect, tuple(reasons)


def _base(
    item: Item, grant: Grant, dataset: Dataset, policy: Policy
) -> tuple[Effect, list[Reason]]:
    """max(tier effect, every relax); where the relaxes do not compare, the tier effect."""
    tier = tier_effect(item, grant.consumer, policy)
    lifting = {
        relax.id: (relax.effect, relax.title)
        for relax in policy.relaxes
        if relax.effect is not None
        and not at_most(item.kind, relax.effect, tier)
        and _valid(relax, policy)
        and _covers(relax.target, item, grant, dataset)
    }
    reasons = [Reason("tier", f"tier.{item.level.name}.T{int(grant.consumer.tier)}", tier)]
    loosest = loosest_of(item.kind, [tier, *(effect for effect, _ in lifting.values())])
    if loosest is None:
        return tier, reasons
    reasons += [Reason("relax", name, *lifting[name]) for name in sorted(lifting)]
    return loosest, reasons


def _caps(
    item: Item, base: Effect, grant: Grant, dataset: Dataset, policy: Policy
) -> tuple[list[_Cap], list[Reason]]:
    """What presence, limits and forbids allow at most; and the relaxes of presence that told."""
    level, lowering = _presence(grant, dataset, policy)
    cap = presence_cap(item.kind, level - grant.consumer.tier)
    unrelaxed = presence_cap(item.kind, dataset.presence - grant.consumer.tier)
    lowered: list[Reason] = []
    if cap != unrelaxed and not at_most(item.kind, base, unrelaxed):
        lowered = [Reason("presence", f"presence.{dataset.presence.name}", unrelaxed)]
        names = sorted((relax.id, relax.title) for relax in lowering)
        lowered += [Reason("relax", name, cap, title) for name, title in names]
    caps: list[_Cap] = [("presence", f"presence.{level.name}", cap, "")]
    return caps + _ruled(item, grant, dataset, policy), lowered


def _contained(
    item: Item, base: Effect, grant: Grant, dataset: Dataset, policy: Policy
) -> list[_Cap]:
    """What withholding an item means for whatever contains it.

    A rule about the inner item reaches the whole at any effect; what else withholds it
    (tier, presence) reaches a whole that would be kept. What `edges` and `tail4` show
    of it is the guards' affair.
    """
    caps: list[_Cap] = []
    for inner in dataset.contained_in(item):
        shown = _CONTAINED_AS.get(inner.kind, KEEP)
        own, reasons = _base(inner, grant, dataset, policy)
        inner_caps, _ = _caps(inner, own, grant, dataset, policy)
        found = [cap for cap in inner_caps if not at_most(inner.kind, shown, cap[2])]
        if base != KEEP:
            found = [cap for cap in found if cap[0] != "presence"]
        elif not at_most(inner.kind, shown, own):
            found.append((reasons[0].by, reasons[0].id, own, ""))
        caps += [
            (by, name, hidden(item.kind), f"{title}（{item.title}含{inner.title}）")
            for by, name, _, title in found
        ]
    return caps


def _capped(item: Item, effect: Effect, caps: Iterable[_Cap]) -> Effect:
    for _, _, cap, _ in caps:
        effect = meet(item.kind, effect, cap)
    return effect


def _ruled(item: Item, grant: Grant, dataset: Dataset, policy: Policy) -> list[_Cap]:
    """What limits and forbids allow of an item at most."""
    caps: list[_Cap] = [
        ("limit", limit.id, limit.effect, limit.title)
        for limit in policy.limits
        if _covers(limit.target, item, grant, dataset)
    ]
    for forbid in policy.forbids:
        if forbid.rows is None and _covers(forbid.target, item, grant, dataset):
            caps.append(("forbid", forbid.id, DROP, forbid.title))
    return caps


def hidden(kind: Kind) -> Effect:
    """The most that shows nothing of a value: pseudonym where the ladder has one, else drop."""
    ladder = {effect.name: effect for effect in LADDERS[kind]}
    return ladder.get("pseudonym", DROP)


def _rows(grant: Grant, dataset: Dataset, policy: Policy) -> tuple[RowRule, tuple[Reason, ...]]:
    """Which rows are released, and what keeps others back."""
    rules = [
        forbid
        for forbid in policy.forbids
        if forbid.rows is not None
        and _meant(forbid.target, grant.consumer, grant.purpose, dataset.id)
    ]
    found = {forbid.rows for forbid in rules if forbid.rows is not None}
    reasons = [Reason("forbid", forbid.id, DROP, forbid.title) for forbid in rules]
    can_tell = dataset.of_kind(Kind.BIRTH_DATE) or dataset.of_kind(Kind.CITIZEN_ID)
    if not grant.minors and can_tell:
        found.add(age_under(dataset, MINOR_AGE))
        reasons.append(Reason("minors", f"under_{MINOR_AGE}", DROP))
    rule = RowRule(grant.scope, grant.filter, tuple(sorted(found, key=repr)))
    return rule, tuple(sorted(reasons, key=lambda reason: (reason.by, reason.id)))


def _closed(grant: Grant, dataset: Dataset, policy: Policy) -> Reason | None:
    if grant.dataset != dataset.id or not grant.active(policy.as_of):
        return Reason("no_grant", grant.id, DROP)
    if dataset.sharing is Sharing.NOT_SHARED:
        return Reason("not_shared", dataset.id, DROP, dataset.sharing_citation)
    return None


def over(grant: Grant) -> Decision:
    """The decision of a grant that has ended, for which no policy is needed: nothing."""
    return Decision(
        grant=grant.id,
        consumer=grant.consumer.id,
        dataset=grant.dataset,
        policy_version="",
        effects=dict.fromkeys(grant.items, DROP),
        rows=RowRule(grant.scope),
        domain=grant.domain,
        refused=_over(grant),
    )


def _over(grant: Grant) -> Refusal:
    return Refusal(
        "no_grant",
        f"授权 {grant.id} 已终止、暂停或过期",
        f"grant {grant.id} is revoked, suspended or expired",
    )


def _refusal(
    grant: Grant, dataset: Dataset, policy: Policy, effects: dict[str, Effect]
) -> Refusal | None:
    closed = _closed(grant, dataset, policy)
    tier = f"T{int(grant.consumer.tier)}"
    level = presence_level(grant, dataset, policy)
    if closed is not None and closed.by == "not_shared":
        return Refusal(
            "not_shared",
            f"{dataset.title}不予共享：{dataset.sharing_citation}",
            f"{dataset.id} is not shared: {dataset.sharing_citation}",
        )
    if closed is not None and grant.ended:
        return _over(grant)
    if closed is not None:
        days = grant.valid_from, grant.valid_until
        return Refusal(
            "no_grant",
            f"授权 {grant.id} 在 {policy.as_of} 无效（有效期 {days[0]} 至 {days[1]}）",
            f"grant {grant.id} is not valid on {policy.as_of} (it is from {days[0]} to {days[1]})",
        )
    if level - grant.consumer.tier >= 2:
        return Refusal(
            "presence",
            f"出现在{dataset.title}里这件事本身就是 {level.name}，准入等级 {tier} 不得接收任何行",
            f"being in {dataset.id} is itself {level.name}: tier {tier} may receive no row of it",
        )
    if all(effect == DROP for effect in effects.values()):
        return Refusal(
            "nothing_left", "所申请的数据项全部不予提供", "every item asked for is withheld"
        )
    published = _published_by_filter(grant, dataset, effects)
    if published:
        return Refusal(
            "filter_publishes",
            f"行条件会泄露未原样提供的数据项：{'、'.join(published)}",
            f"the filter would give away items that are not kept: {', '.join(published)}",
        )
    return None


def _published_by_filter(grant: Grant, dataset: Dataset, effects: dict[str, Effect]) -> list[str]:
    """Items that the grant's filter reads and the grant does not show at keep: who receives
    the rows would learn them. A part of the city is chosen by the scope, which hides nothing."""
    if grant.filter is None:
        return []
    return sorted(name for name in items_read(grant.filter) if effects.get(name, DROP) != KEEP)


def _valid(relax: Relax, policy: Policy) -> bool:
    return policy.as_of <= relax.expires and signed(relax)


def signed(relax: Relax) -> bool:
    """Whether two people stand behind a relax."""
    named = bool(relax.author and relax.approver)
    return named and not same_person(relax.author, relax.approver)


def _covers(target: Target, item: Item, grant: Grant, dataset: Dataset) -> bool:
    if target.items and item.name not in target.items:
        return False
    if target.kinds and item.kind not in target.kinds:
        return False
    return _meant(target, grant.consumer, grant.purpose, dataset.id)


def _meant(target: Target, consumer: Consumer, purpose: str, dataset: str) -> bool:
    return (
        _among(dataset, target.datasets)
        and _among(consumer.id, target.consumers)
        and _among(consumer.department, target.departments)
        and _among(purpose, target.purposes)
        and consumer.department not in target.not_departments
    )


def _among(value: str, allowed: Iterable[str]) -> bool:
    chosen = tuple(allowed)
    return not chosen or value in chosen
