"""Identifiers where they do not belong: an ID or mobile number in an item below L3.

Law: what a person would read as such a number is found however it is written: full
width, with blanks or hyphens between the digits, with a country code, with digits or
letters after it (a disability certificate number begins with the ID number).
"""

import re
import unicodedata
from datetime import date

from stdnum.cn import ric

SHORTEST = 11
"""Characters of the shortest text that can hold one."""

_BETWEEN = re.compile(r"(?<=[0-9])[\s\-\u2010-\u2015_.·/]+(?=[0-9Xx])")
_RUN = re.compile(r"[0-9]{17,}[Xx]?")
_MOBILE = re.compile(r"(?<![0-9])(?:(?:00)?86)?1[3-9][0-9]{9}(?![0-9])")


def holds_identifier(text: str) -> bool:
    """Whether the text holds an ID number (GB 11643) or a mainland mobile number."""
    if len(text) < SHORTEST:
        return False
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _found(text) or _found(_BETWEEN.sub("", text))


def resembles_identifier(text: str) -> bool:
    """Whether the text holds an identifier, or what would be an ID number with another check
    digit."""
    joined = _BETWEEN.sub("", unicodedata.normalize("NFKC", text))
    return holds_identifier(text) or any(
        _born(run.group()[start : start + 18]) is not None
        for run in _RUN.finditer(joined)
        for start in range(len(run.group()) - 17)
    )


def _found(text: str) -> bool:
    return bool(_MOBILE.search(text)) or any(
        is_citizen_id(run.group()[start : start + 18])
        for run in _RUN.finditer(text)
        for start in range(len(run.group()) - 17)
    )


def is_citizen_id(text: str) -> bool:
    """Whether 18 characters are an ID number: digits, a real birth date, a right check digit."""
    return _born(text) is not None and bool(ric.calc_check_digit(text) == text[17].upper())


def _born(text: str) -> date | None:
    """The birth date that 18 characters would have as an ID number; None where none."""
    if not (text[:17].isascii() and text[:17].isdigit()):
        return None
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return None
    return born if born.year >= 1880 else None
