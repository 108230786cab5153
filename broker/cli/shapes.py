"""Values shown by their shape: enough to see what is wrong, too little to know whose it is.

Law: a digit becomes 9, a letter a, any other character of a script 字; punctuation and
blanks stay. No character of a value is ever shown.
"""

import json
from collections.abc import Collection

_LONGEST = 40


def shape(value: object) -> str:
    """The shape of a value, cut where it is long."""
    if value is None:
        return "∅"
    if not isinstance(value, str):
        return type(value).__name__
    signs = "".join(map(_sign, value[:_LONGEST]))
    return signs if len(value) <= _LONGEST else f"{signs}… ({len(value)})"


def shape_of_raw(raw: bytes, columns: Collection[str]) -> str:
    """The shape of a quarantined row: a line of a file, or the cells of the known columns."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", "replace")
    try:
        cells = json.loads(text)
    except ValueError:
        return "".join(map(_sign, text[: 5 * _LONGEST].rstrip("\r\n")))
    if not isinstance(cells, dict):
        return shape(text)
    return " ".join(
        f"{name if name in columns else shape(name)}={shape(value)}"
        for name, value in cells.items()
    )


def _sign(character: str) -> str:
    if character.isdigit():
        return "9"
    if not character.isascii():
        return "字" if character.isalnum() else "·"
    if not character.isprintable():
        return "·"
    return "a" if character.isalpha() else character
