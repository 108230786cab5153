"""The reasons of a decision, in words."""

from broker.policy.model import Decision

_BY = {
    "tier": ("准入等级表", "tier table"),
    "presence": ("在册级别", "presence level"),
    "limit": ("上限规则", "limit"),
    "forbid": ("禁止规则", "forbid"),
    "relax": ("放宽", "relax"),
    "guard": ("防重识别", "guard"),
    "not_asked": ("未申请", "not asked for"),
    "not_shared": ("不予共享", "not shared"),
    "no_grant": ("无有效授权", "no active grant"),
}


def reasons_in_words(decision: Decision, item: str, lang: str) -> str:
    """Why the item comes out as it does: what determined it, with ids."""
    parts: list[str] = []
    for reason in decision.reasons.get(item, ()):
        zh, en = _BY.get(reason.by, (reason.by, reason.by))
        words = en if lang == "en" else zh
        name = f"{words} {reason.id}" if reason.id and reason.id != reason.by else words
        parts.append(f"{name} → {reason.effect}")
    return "；".join(parts) if lang != "en" else "; ".join(parts)
