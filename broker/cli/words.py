"""Decisions in words, Chinese or English.

Law: what is said is what was decided: every sentence comes from a reason of the
decision, with its id.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from broker.divisions import Divisions
from broker.model import Dataset
from broker.policy.model import Decision, Effect, Reason
from broker.policy.predicate import AgeUnder, evaluate
from broker.sharing.grants import Stored

_EFFECTS = {
    "keep": ("原样", "in clear"),
    "edges": ("只留首尾", "first 6 and last 4"),
    "pseudonym": ("化名", "pseudonym"),
    "surname": ("只留姓", "surname only"),
    "partial": ("部分遮盖", "partly hidden"),
    "street": ("只到街道", "down to the street office"),
    "county": ("只到县区", "down to the county"),
    "town": ("只到街道乡镇", "down to the town"),
    "city": ("只到市", "down to the city"),
    "day": ("只到日", "day only"),
    "month": ("只到月", "month only"),
    "year": ("只到年", "year only"),
    "decade": ("只到年代", "decade only"),
    "band": ("只给区间", "band only"),
    "tail4": ("只留末四位", "last 4 only"),
    "drop": ("不提供", "withheld"),
}

_BY = {
    "presence": ("在册级别封顶", "presence cap"),
    "limit": ("上限规则", "limit"),
    "forbid": ("禁止规则", "forbid"),
    "relax": ("放宽", "relax"),
    "guard": ("防重识别", "guard"),
    "not_asked": ("授权未列此项", "not among the items of the grant"),
    "not_shared": ("不予共享", "not shared"),
    "no_grant": ("没有有效授权", "no active grant"),
}

_STATES = {
    "ACTIVE": ("有效", "valid"),
    "PENDING": ("尚未开始", "not begun"),
    "SUSPENDED": ("已暂停", "suspended"),
    "TERMINATED": ("已终止", "revoked"),
    "EXPIRED": ("已过期", "expired"),
}


def effect_in_words(effect: Effect, lang: str) -> str:
    """An effect in words."""
    zh, en = _EFFECTS[effect.name]
    return en if lang == "en" else zh


def state_in_words(state: str, lang: str) -> str:
    """A grant's state in words."""
    zh, en = _STATES[state]
    return en if lang == "en" else zh


def standing_in_words(stored: Stored, today: date, lang: str) -> str:
    """How a grant stands: its state, since or until when, and why."""
    found, grant = stored.standing(today), stored.grant
    state = state_in_words(found.state, lang)
    if found.state == "EXPIRED":
        day = grant.valid_until
        return f"{state}: its last day was {day}" if lang == "en" else f"{state}：最后一日是 {day}"
    if found.state == "PENDING":
        day = grant.valid_from
        return f"{state}: its first day is {day}" if lang == "en" else f"{state}：自 {day} 起"
    if found.state == "ACTIVE":
        day = grant.valid_until
        return f"{state} until {day}" if lang == "en" else f"{state}，至 {day}"
    at = found.changed_at.replace("T", " ").replace("+00:00", " UTC")
    if lang == "en":
        return f"{state} on {at}: {found.reason}" if at else f"{state}: {found.reason}"
    return f"{state}（{at}）：{found.reason}" if at else f"{state}：{found.reason}"


def refusal_in_words(decision: Decision, stored: Stored, today: date, lang: str) -> str:
    """Why a decision opens no share; of a grant that is not valid, how it stands."""
    if decision.refused is None or decision.refused.code == "no_grant":
        return standing_in_words(stored, today, lang)
    return decision.refused.words(lang)


def reasons_in_words(decision: Decision, item: str, lang: str) -> str:
    """Why an item comes out as it does: everything that determined it, with ids."""
    said = [_reason(reason, lang) for reason in decision.reasons.get(item, ())]
    return "; ".join(said) if lang == "en" else "；".join(said)


def _reason(reason: Reason, lang: str) -> str:
    effect = effect_in_words(reason.effect, lang)
    if reason.by == "tier":
        _, level, tier = reason.id.split(".")
        gap = int(level[1]) - int(tier[1])
        if gap <= 0:
            en, zh = f"level {level} is within tier {tier}", f"级别 {level} 不高于准入等级 {tier}"
        else:
            en = f"level {level} is {gap} above tier {tier}"
            zh = f"级别 {level} 比准入等级 {tier} 高 {gap} 级"
        return f"{en}: {effect}" if lang == "en" else f"{zh}：{effect}"
    zh, en = _BY[reason.by]
    if reason.by in ("not_asked", "no_grant"):
        return en if lang == "en" else zh
    if lang == "en":
        return f"{en} {reason.id}: {effect}"
    named = f"{zh}「{reason.title}」({reason.id})" if reason.title else f"{zh} {reason.id}"
    return f"{named}：{effect}"


def absence_in_words(
    decision: Decision,
    dataset: Dataset,
    record: Mapping[str, Any],
    year: int,
    divisions: Divisions,
    lang: str,
) -> str:
    """Why a record is not among the rows of a decision; empty where it is."""
    if decision.refused:
        return decision.refused.words(lang)
    rows = decision.rows
    division = record.get(dataset.scope_item)
    if not isinstance(division, str) or divisions.get(division) is None:
        return "record without a known division" if lang == "en" else "记录没有可识别的区划"
    if not rows.scope.holds(division):
        return "outside the scope of the grant" if lang == "en" else "不在授权范围内"
    if rows.filter is not None and evaluate(rows.filter, record, year) is not True:
        return "the grant's filter leaves it out" if lang == "en" else "不符合授权的行条件"
    for forbid in rows.forbids:
        if evaluate(forbid, record, year) is not False:
            if isinstance(forbid, AgeUnder):
                return (
                    f"under {forbid.years}, and the grant names no basis for minors"
                    if lang == "en"
                    else f"未满 {forbid.years} 周岁，授权没有写明未成年人依据"
                )
            return "a rule forbids this row" if lang == "en" else "规则禁止提供此行"
    return ""
