"""Names that a department gave: files, columns. They may hold what nobody may see.

Law: a file's name is shown without its long numbers, an unknown column's name not at all.
"""

import re
from collections import Counter
from pathlib import Path

from connectors.misplaced import resembles_identifier

_MOST_PLACES = 5
_LONG_NUMBER = re.compile(r"\d{9,}[Xx]?")


def shown_name(path: Path) -> str:
    """A file's name as messages may show it."""
    name = "".join(c if c.isprintable() else "·" for c in path.name)
    name = _LONG_NUMBER.sub("…", name)
    return re.sub(r"[0-9]", "·", name) if resembles_identifier(name) else name


def column_difference(found: list[str], expected: tuple[str, ...]) -> str:
    """Missing, unknown and repeated columns in words; empty where there are none.

    An unknown column is told by its place alone: in a file, what stands where the header
    should be may be somebody's data.
    """
    unknown = [f"column {place}" for place, name in enumerate(found, 1) if name not in expected]
    if len(unknown) > _MOST_PLACES:
        unknown = [f"{len(unknown)} columns"]
    twice = [name for name, times in Counter(found).items() if times > 1]
    parts = (
        ("missing", [name for name in expected if name not in found]),
        ("unknown", unknown),
        ("twice", [name for name in twice if name in expected]),
    )
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
