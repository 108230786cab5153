"""YAML files with the line of everything in them.

Law: a file says what it says, once and in full: tabs, a key that stands twice, bytes
that are not UTF-8, tags, anchors, aliases and merge keys are refused with file and line.
The text of the parser is never shown.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, NodeEvent, ScalarEvent

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
    return parse_marked(text, str(path), error)


def parse_marked(text: str, place: str, error: type[ShuQiaoError]) -> Any:
    """The content of a text; `place` is what an error names, with the line."""
    yaml = YAML(typ="rt", pure=True)
    try:
        for event in yaml.parse(text):
            if what := _indirect(event):
                where = f"{place}:{event.start_mark.line + 1}"
                raise error(what, where=where, mend="write the value itself")
        return YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as problem:
        raise error(
            "a key stands twice", where=_at(place, problem), mend="keep one of the two"
        ) from None
    except MarkedYAMLError as problem:
        raise error("not valid YAML", where=_at(place, problem), mend="mend the line") from None
    except RecursionError:
        raise error("nested too deep", where=place, mend="split it") from None
    except (YAMLError, ValueError):
        raise error("not valid YAML", where=place, mend="mend it") from None


def _indirect(event: Any) -> str:
    """Whether a value stands elsewhere than where it is written, or is of a type of its own."""
    if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
        return "an anchor or alias"
    if isinstance(event, NodeEvent) and getattr(event, "tag", None) is not None:
        return "a tag"
    if isinstance(event, ScalarEvent) and event.value == "<<" and not event.style:
        return "a merge key"
    return ""


def line_of(node: Any, key: object = None) -> int:
    """The line of a node, or of one of its keys or indexes; counted from 1."""
    mark = getattr(node, "lc", None)
    if mark is None or mark.line is None:
        return 1
    if key is None or not getattr(mark, "data", None):
        return int(mark.line) + 1
    try:
        place = mark.key(key) if hasattr(node, "keys") else mark.item(key)
    except (KeyError, TypeError):
        return int(mark.line) + 1
    return int(place[0]) + 1


def _at(place: str, problem: MarkedYAMLError) -> str:
    mark = problem.problem_mark
    return f"{place}:{mark.line + 1}" if mark is not None else place
