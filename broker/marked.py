"""YAML files with the line of everything in them.

Law: a file that cannot be read as it stands is refused with file and line: tabs, a key
that stands twice, bytes that are not UTF-8. The text of the parser is never shown.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from broker.errors import ShuQiaoError


def load_marked(path: Path, error: type[ShuQiaoError]) -> Any:
    """The content (ruamel's marked mappings and sequences); `error` where it has none."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError:
        raise error("the file cannot be read", where=str(path), mend="check its rights") from None
    except UnicodeDecodeError:
        raise error("the file is not UTF-8", where=str(path), mend="save it as UTF-8") from None
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line:
            raise error("a tab", where=f"{path}:{number}", mend="indent with spaces") from None
    try:
        return YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as problem:
        raise error(
            "a key stands twice", where=_at(path, problem), mend="keep one of the two"
        ) from None
    except MarkedYAMLError as problem:
        raise error("not valid YAML", where=_at(path, problem), mend="mend the line") from None
    except (YAMLError, ValueError):
        raise error("not valid YAML", where=str(path), mend="mend the file") from None


def line_of(node: Any, key: object = None) -> int:
    """The line of a node, or of one of its keys or indexes; counted from 1."""
    mark = getattr(node, "lc", None)
    if mark is None or mark.line is None:
        return 1
    if key is None:
        return int(mark.line) + 1
    try:
        place = mark.key(key) if hasattr(node, "keys") else mark.item(key)
    except (KeyError, TypeError):
        return int(mark.line) + 1
    return int(place[0]) + 1


def _at(path: Path, problem: MarkedYAMLError) -> str:
    mark = problem.problem_mark
    return f"{path}:{mark.line + 1}" if mark is not None else str(path)
