"""The files of a policy: which there are, and what stands in them.

Law: nothing that looks like a policy file is passed over in silence, and whatever cannot
be read is a `PolicyError` with file and line. The text of the parser is never shown.
"""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from broker.errors import PolicyError
from broker.marked import load_marked
from broker.policy.node import Node

ONCE = ("tiers.yaml", "guards.yaml")
"""Files of the first folder; a later folder may only add rules."""

RULES = "rules"
"""The folder of the rule files."""

_DAY = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


def single_file(folders: Sequence[Path], name: str) -> Path:
    """The one file of that name among the folders, which stands in the first of them."""
    found = [entry for folder in folders for entry in _entries(folder) if entry.name == name]
    place = found[-1] if found else (folders[0] if folders else Path()) / name
    if len(found) != 1:
        raise PolicyError(
            f"{name} stands {len(found)} times, not once",
            where=f"{place}:1",
            mend="keep one, in the first folder",
        )
    if place.parent != folders[0]:
        raise PolicyError(
            f"{name} stands in a later folder",
            where=f"{place}:1",
            mend="a later folder may only add rules",
        )
    return place


def rule_files(folders: Sequence[Path]) -> list[Path]:
    """The rule files of all folders. The first must have rules; a later one may."""
    found: list[Path] = []
    for number, folder in enumerate(folders):
        rules = folder / RULES
        if number and not any(entry.name == RULES for entry in _entries(folder)):
            continue
        found += [entry for entry in _entries(rules) if entry.suffix == ".yaml"]
    return found


def stray_files(folders: Sequence[Path]) -> list[PolicyError]:
    """An error for everything in the folders that would not be read."""
    stray: list[Path] = []
    for folder in folders:
        for entry in _entries(folder):
            if entry.name == RULES:
                stray += [
                    one
                    for one in (_entries(entry) if entry.is_dir() else [])
                    if not _of_python(one) and (one.suffix != ".yaml" or not one.is_file())
                ]
            elif entry.name not in ONCE and not _of_python(entry):
                stray.append(entry)
    return [
        PolicyError(
            "this would not be read",
            where=f"{entry}:1",
            mend="tiers.yaml, guards.yaml or rules/<name>.yaml; else remove it",
        )
        for entry in stray
    ]


def _entries(folder: Path) -> list[Path]:
    """What stands in a folder; a folder that cannot be listed is an error, never empty."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        raise PolicyError(
            "the folder is missing or cannot be read",
            where=f"{folder}:1",
            mend="make it, or mend its rights: a policy that cannot be read whole is none",
        ) from None


def _of_python(entry: Path) -> bool:
    """What an installed package has beside its data."""
    return entry.name in ("__init__.py", "__pycache__")


def read_document(file: Path, word: str, errors: list[PolicyError]) -> Node:
    """What stands under the one word of a file; other words are among `errors`."""
    try:
        content = load_marked(file, PolicyError)
    except PolicyError as error:
        raise error if error.where != str(file) else _placed(file, error) from None
    except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise PolicyError("not valid YAML", where=f"{file}:1", mend="mend the file") from None
    if content is None:
        raise PolicyError("the file is empty", where=f"{file}:1", mend=f"write {word}: …")
    root = Node(content, str(file))
    errors.extend(root.strangers((word,)))
    return root.need(word)


def _placed(file: Path, error: PolicyError) -> PolicyError:
    """The same error with the line, as far as the bytes tell it."""
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as broken:
        line = broken.object.count(b"\n", 0, broken.start) + 1
        return PolicyError(error.what, where=f"{file}:{line}", mend=error.mend)
    except OSError:
        return PolicyError(error.what, where=f"{file}:1", mend=error.mend)
    for line, content in enumerate(text.split("\n"), 1):
        if _CONTROL.search(content):
            return PolicyError("a control character", where=f"{file}:{line}", mend="remove it")
        if any(not _is_day(*found) for found in _DAY.findall(content.partition("#")[0])):
            return PolicyError("there is no such day", where=f"{file}:{line}", mend="YYYY-MM-DD")
    return PolicyError(error.what, where=f"{file}:1", mend=error.mend)


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
