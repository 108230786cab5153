"""A node of a policy file that knows where it stands.

Law: asking for what is not there, or is of another type, is a `PolicyError` with file
and line.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, ParamSpec, TypeVar

from broker.errors import PolicyError
from broker.marked import line_of
from broker.model import Kind
from broker.policy.effects import parse_effect
from broker.policy.model import Effect

Found = TypeVar("Found")
Given = ParamSpec("Given")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DEEPEST = 30
_LARGEST = 10_000


def attempt(
    errors: list[PolicyError],
    read: Callable[Given, Found],
    *given: Given.args,
    **named: Given.kwargs,
) -> Found | None:
    """What `read` gives; None where it is wrong, with the error among `errors`."""
    try:
        return read(*given, **named)
    except PolicyError as error:
        errors.append(error)
        return None


class Node:
    """A mapping, a list or a value, with its file and line."""

    def __init__(self, value: Any, file: str, line: int | None = None) -> None:
        self.value = value
        self._file = file
        self._line = line if line is not None else _line(value, 1)

    def where(self, key: object = None, index: int | None = None) -> str:
        """`file:line` of the node, of one of its keys, or of an entry of the list there."""
        line = self._line if key is None else _line(self.value, self._line, key)
        if index is not None and isinstance(self.value[key], list):
            line = _line(self.value[key], line, index)
        return f"{self._file}:{line}"

    def wrong(
        self, what: str, mend: str, key: object = None, index: int | None = None
    ) -> PolicyError:
        """An error at this node."""
        return PolicyError(what, where=self.where(key, index), mend=mend)

    def words(self) -> list[str]:
        """The words of a mapping."""
        if not isinstance(self.value, dict):
            raise self.wrong("a mapping is expected here", "write `word: value` lines")
        return [str(key) for key in self.value]

    def strangers(self, known: Sequence[str]) -> list[PolicyError]:
        """An error for every word that is not among those known."""
        return [
            self.wrong(f"unknown word {key!r}", f"one of: {', '.join(known)}", key)
            for key in self.words()
            if key not in known
        ]

    def has(self, key: str) -> bool:
        """Whether a mapping has the word."""
        return key in self.words()

    def need(self, key: str) -> "Node":
        """What stands under a word."""
        if not self.has(key):
            raise self.wrong(f"{key} is missing", f"add {key}")
        value = self.value[key]
        if value is None:
            raise self.wrong(f"{key} is empty", f"write what {key} is", key)
        return Node(value, self._file, _line(value, _line(self.value, self._line, key)))

    def each(self) -> Iterator["Node"]:
        """The nodes of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("a list is expected here", "write `- …` lines")
        for index, value in enumerate(self.value):
            yield Node(value, self._file, _line(self.value, self._line, index))

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.need(key).value
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"{key} is no text", f"write {key}: …", key)
        return str(value.strip())

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts that is not empty; a single text counts as one."""
        value = self.need(key).value
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not found:
            raise self.wrong(f"{key} is no list", f"{key}: [ … ]", key)
        for index, one in enumerate(found):
            if not isinstance(one, str) or not one.strip():
                raise self.wrong(
                    f"{key} holds something that is no text", "put it in quotes", key, index
                )
        return tuple(str(one).strip() for one in found)

    def day(self, key: str) -> date:
        """A date."""
        value = self.need(key).value
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            if not (isinstance(value, str) and _DAY.fullmatch(value)):
                raise ValueError
            return date.fromisoformat(value)
        except ValueError:
            raise self.wrong(f"{key} is no date", "write it as YYYY-MM-DD", key) from None

    def kind(self, key: str, name: str, index: int | None = None) -> Kind:
        """A kind of that name, which stands at `key`."""
        try:
            return Kind(name)
        except ValueError:
            mend = f"one of: {', '.join(Kind)}"
            raise self.wrong(f"unknown kind {name!r}", mend, key, index) from None

    def kinds(self, key: str) -> tuple[Kind, ...]:
        """A list of kinds that is not empty."""
        return tuple(self.kind(key, name, at) for at, name in enumerate(self.texts(key)))

    def effect(self, key: str, kind: Kind) -> Effect:
        """The effect that stands at `key`, on the kind's ladder."""
        try:
            return parse_effect(kind, self.text(key))
        except PolicyError as error:
            raise error if error.where else self.wrong(error.what, error.mend, key) from None

    def plain(self) -> Any:
        """The value as plain dictionaries and lists; an alias must not blow it up."""
        left = [_LARGEST]

        def copy(value: Any, depth: int) -> Any:
            left[0] -= 1
            if depth > _DEEPEST or left[0] < 0:
                raise self.wrong("too large or nested too deep", "split it, write no aliases")
            if isinstance(value, dict):
                return {key: copy(one, depth + 1) for key, one in value.items()}
            if isinstance(value, list):
                return [copy(one, depth + 1) for one in value]
            return value

        return copy(self.value, 0)


def _line(value: Any, outer: int, key: object = None) -> int:
    """The line of a value, or of a key or index of it; `outer` where the parser noted none."""
    noted = getattr(getattr(value, "lc", None), "line", None)
    return outer if noted is None else line_of(value, key)
