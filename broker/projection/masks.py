"""Every mask of the ladders, defined once, obviously right.

Law: a mask's result depends only on what it shows. Where a character mask would show
the whole value, or too little would be hidden, the result is null; the number of stars
is fixed, so it tells no length. What is not understood gives null or is refused.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from broker.divisions import DIGITS, Divisions
from broker.errors import ProjectionError
from broker.model import Kind
from broker.policy.effects import LADDERS
from broker.policy.model import Effect
from broker.pseudonym import Pseudonyms

Mask = Callable[[Any, str | None], Any]
"""(a value that is not null, the record's division code or None) → what is shown."""

CITY_ZONE = ZoneInfo("Asia/Shanghai")
BANDS = (0, 300, 600, 1000, 2000, 5000)
"""Lower bounds of the amount bands, in yuan; the last band is open."""

STARS = {"edges": "********", "partial": "****", "tail4": "****", "surname": "**"}
_HIDDEN = 4
"""Characters that edges, partial and tail4 must hide at least."""

COMPOUND = frozenset(
    re.findall(
        "..",
        "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙"
        "慕容仲孙钟离长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁拓跋夹谷"
        "轩辕令狐段干百里呼延东郭南门羊舌微生梁丘左丘东门西门南荣",
    )
)
"""Family names of two characters."""


def make_mask(
    kind: Kind,
    effect: Effect,
    *,
    divisions: Divisions,
    pseudonyms: Pseudonyms | None,
    zone: tzinfo = CITY_ZONE,
) -> Mask:
    """The mask of an effect; `ProjectionError` for one that the kind's ladder lacks."""
    if effect.name not in {step.name for step in LADDERS[kind]} or effect.name == "drop":
        raise _unusable(kind, effect)
    params = _checked(kind, effect)
    match effect.name:
        case "keep":
            return lambda value, _: value
        case "pseudonym":
            if pseudonyms is None:
                raise _unusable(kind, effect)
            return lambda value, _: pseudonyms.of(value)
        case "edges" | "partial":
            return lambda value, _: _ends(value, params["first"], params["last"], effect.name)
        case "tail4":
            return lambda value, _: _ends(value, 0, 4, "tail4")
        case "surname":
            return lambda value, _: surname(value)
        case "band":
            return lambda value, _: band(value)
        case "street" | "county" if kind is Kind.ADDRESS:
            tier = "town" if effect.name == "street" else "county"
            return lambda value, code: _address(value, code, tier, divisions)
        case "town" | "county" | "city":
            return lambda value, _: coarser_division(value, effect.name, divisions)
        case "day" | "month" | "year" | "decade":
            shown = _DATES[effect.name]
            return lambda value, _: shown(_day(value, zone))
        case _:
            raise _unusable(kind, effect)


def surname(name: str) -> str | None:
    """The family name and two stars; null where no character would be hidden."""
    name = _visible(name)
    shown = name[:2] if name[:2] in COMPOUND and len(name) > 2 else name[:1]
    masked = shown + STARS["surname"]
    return masked if len(name) > len(shown) and masked != name else None


def band(amount: Decimal) -> str | None:
    """The band of an amount, `300-600` with the upper bound outside; null below zero."""
    at = bisect_right(BANDS, amount) if amount >= 0 else 0
    if at == 0:
        return None
    return f"{BANDS[at - 1]}-{BANDS[at]}" if at < len(BANDS) else f"{BANDS[-1]}-"


def coarser_division(code: str, tier: str, divisions: Divisions) -> str | None:
    """The digits of a code down to a tier; null where the table has no such division."""
    own = divisions.get(code)
    if own is None or DIGITS[own.tier] < DIGITS[tier]:
        return None
    return code[: DIGITS[tier]]


def _address(address: str, code: str | None, tier: str, divisions: Divisions) -> str | None:
    """The division names that the address and the record's own division agree on.

    Written from the table's names, never cut out of the address: 镇, 乡 and 街道 also
    stand inside other names, and what follows them may be anything. Null where the
    record's division is coarser than the tier: then no name can be agreed on. So what is
    shown depends on the division too, at most as far as its names stand in the address.
    """
    path = divisions.path(code) if code is not None else []
    names = {division.tier: division.name for division in path}
    county, town = names.get("county"), names.get("town")
    if tier not in names or county is None or county not in address:
        return None
    shown = [division.name for division in path if DIGITS[division.tier] <= DIGITS["county"]]
    if tier == "town" and town is not None and county + town in address:
        shown.append(town)
    masked = "".join(shown)
    return masked if masked != address else None


def _visible(text: str) -> str:
    """The characters that a reader sees: others hide nothing where they are starred out."""
    return "".join(c for c in text if unicodedata.category(c)[0] not in "CZ")


def _ends(value: str, first: int, last: int, name: str) -> str | None:
    value = _visible(value)
    if len(value) < first + last + _HIDDEN:
        return None
    masked = value[:first] + STARS[name] + value[len(value) - last :]
    return masked if masked != value else None


def _day(value: Any, zone: tzinfo) -> date:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(zone).date()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    # a time without a zone would be read in the zone of this machine
    raise ProjectionError("a date mask met no date", mend="see the dataset's schema")


_DATES: Mapping[str, Callable[[date], Any]] = {
    "day": lambda day: day,
    "month": lambda day: f"{day.year:04d}-{day.month:02d}",
    "year": lambda day: day.year,
    "decade": lambda day: day.year // 10 * 10,
}


def _checked(kind: Kind, effect: Effect) -> dict[str, int]:
    """The parameters, where each is a whole number that is not negative."""
    params: dict[str, int] = {}
    for name, value in effect.params:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _unusable(kind, effect)
        params[name] = value
    needed = {"first", "last"} if effect.name in ("edges", "partial") else set()
    if set(params) != needed:
        raise _unusable(kind, effect)
    return params


def _unusable(kind: Kind, effect: Effect) -> ProjectionError:
    return ProjectionError(
        f"{kind} cannot be shown as {effect}", mend="use an effect of the kind's ladder"
    )
