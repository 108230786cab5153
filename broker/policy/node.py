"""A node of a policy file that knows where it stands.

Law: asking for what is not there, or is of another type, is a `PolicyError` with file
and line.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

from broker.errors import PolicyError
from broker.marked import line_of
from broker.model import Kind
from broker.policy.effects import parse_effect
from broker.policy.model import Effect


class Node:
    """A mapping, a list or a value, with its file and line."""

    def __init__(self, value: Any, file: str, line: int | None = None) -> None:
        self.value = value
        self._file = file
        self._line = line if line is not None else line_of(value)

    def where(self, key: object = None) -> str:
        """`file:line` of the node, or of one of its keys."""
        line = self._line if key is None else line_of(self.value, key)
        return f"{self._file}:{line}"

    def wrong(self, what: str, mend: str, key: object = None) -> PolicyError:
        """An error at this node."""
        return PolicyError(what, where=self.where(key), mend=mend)

    def words(self) -> list[str]:
        """The words of a mapping."""
        if not isinstance(self.value, dict):
            raise self.wrong("a mapping is expected here", "write `word: value` lines")
        return [str(key) for key in self.value]

    def only(self, known: Sequence[str]) -> None:
        """Refuse a word that is not among those known."""
        for key in self.words():
            if key not in known:
                raise self.wrong(f"unknown word {key!r}", f"one of: {', '.join(known)}", key)

    def has(self, key: str) -> bool:
        """Whether a mapping has the word."""
        return key in self.words()

    def need(self, key: str) -> "Node":
        """What stands under a word."""
        if not self.has(key) or self.value[key] is None:
            raise self.wrong(f"{key} is missing", f"add {key}")
        value = self.value[key]
        line = line_of(value) if hasattr(value, "lc") else line_of(self.value, key)
        return Node(value, self._file, line)

    def each(self) -> Iterator["Node"]:
        """The nodes of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("a list is expected here", "write `- …` lines")
        for index, value in enumerate(self.value):
            yield Node(value, self._file, line_of(self.value, index))

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.need(key).value
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"{key} is no text", f"write {key}: …", key)
        return value.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts that is not empty; a single text counts as one."""
        value = self.need(key).value
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not found:
            raise self.wrong(f"{key} is no list", f"{key}: [ … ]", key)
        if not all(isinstance(one, str) and one for one in found):
            raise self.wrong(f"{key} holds something that is no text", "put it in quotes", key)
        return tuple(str(one) for one in found)

    def day(self, key: str) -> date:
        """A date."""
        value = self.need(key).value
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise self.wrong(f"{key} is no date", "write it as YYYY-MM-DD", key) from None

    def kind(self, key: str, name: str) -> Kind:
        """A kind of that name, which stands at `key`."""
        try:
            return Kind(name)
        except ValueError:
            raise self.wrong(f"unknown kind {name!r}", f"one of: {', '.join(Kind)}", key) from None

    def effect(self, key: str, kind: Kind) -> Effect:
        """The effect that stands at `key`, on the kind's ladder."""
        try:
            return parse_effect(kind, self.text(key))
        except PolicyError as error:
            raise self.wrong(error.what, error.mend, key) from None
