"""Names that a department gave: files, columns. They may hold what nobody may see.

Law: a name is shown without its long numbers, and a header that may be data not at all.
"""

import re
from collections import Counter
from pathlib import Path

from connectors.misplaced import resembles_identifier

_LONG_NUMBER = re.compile(r"\d{9,}[Xx]?")


def shown_name(path: Path) -> str:
    """A file's name as messages may show it."""
    name = "".join(c if c.isprintable() else "·" for c in path.name)
    name = _LONG_NUMBER.sub("…", name)
    return re.sub(r"[0-9]", "·", name) if resembles_identifier(name) else name


def column_difference(found: list[str], expected: tuple[str, ...]) -> str:
    """Missing, unknown and repeated columns in words; empty where there are none."""
    unknown = [_printable(name) for name in found if name not in expected]
    if len(unknown) * 2 > len(found):  # a row of data where the header should be
        unknown = [f"{len(unknown)} names, not shown, as they may be data"]
    twice = [name for name, times in Counter(found).items() if times > 1]
    parts = (
        ("missing", [name for name in expected if name not in found]),
        ("unknown", unknown),
        ("twice", [name for name in twice if name in expected]),
    )
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)


def _printable(name: str) -> str:
    """A column's name as a message may show it: data that stands where a header should is cut."""
    clean = "".join(c if c.isprintable() and not c.isdigit() else "·" for c in name)
    return clean if len(clean) <= 24 else f"{clean[:24]}…"
