"""What must hold of every input: the kernel and the reference both refuse it, or show the same of
it, alone and in a batch, and judge it alike.
"""

from collections.abc import Callable, Sequence
from typing import Any

from broker.model import Kind
from broker.policy.predicate import AgeUnder, evaluate
from broker.projection import projector
from broker.projection.avro import Codec
from broker.projection.program import By, value_reader
from tests.laws.both import Both, Reached, World

YEAR = 2026


class Quick(Codec):
    """Says that a body is damaged, not where: that takes long, and is tested elsewhere."""

    def _damaged(self, body: bytes) -> str:
        return ""


class Judged(Reached):
    """A division's templates; after a choice, with the verdict that it was chosen by."""

    def __init__(self, templates: Sequence[int], verdict: Any = None) -> None:
        super().__init__(templates)
        self.verdict = verdict
        slots = tuple((place, place) for place in range(len(templates)))
        self.changes = {frozenset[str](): (slots, (), frozenset({"s"}))}


class Oracle(Both):
    """One program's (see `programs`)."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.codec = Quick(world.writer)
        items = {item.name: item for item in world.dataset.items}
        births = tuple(n for n in world.row if items[n].kind is Kind.BIRTH_DATE)
        numbers = tuple(n for n in world.row if items[n].kind is Kind.CITIZEN_ID)
        self._ages = [AgeUnder(years, births, numbers) for years in (14, 60)]
        self._whole = [name for name, by in world.row.items() if by is By.WHOLE]
        types = {one["name"]: one["type"] for one in world.writer["fields"]}
        self._read: list[tuple[str, Callable[[bytes], Any]]] = [
            (name, value_reader(types[name])) for name in world.row
        ]
        self.begin_anew()
        self._hashes = [projector.keyed(b"s" * 32) for _ in world.templates]

    def begin_anew(self) -> None:
        """Nothing is remembered of what was judged so far."""
        self.choices = projector._kernel.Choices(
            lambda division: Judged(range(len(self.world.templates))),
            self._verdict_of,
            lambda reached, verdict: Judged(reached.templates, verdict),
        )

    def check(self, body: bytes) -> bool:
        """Whether the body is a record; `AssertionError` where the two do not agree."""
        slow = self.slow(body)
        found = self.kernel.project(body, self.choices)
        assert (None if found is None else found[1]) == slow, "they show different things"
        where = self.kernel.damaged(body)
        assert (where is None) == (slow is not None), "one of them refuses"
        assert where is None or where == "" or where in self._names(), "the name is no field's"
        self._lands(body, slow)
        if found is None:
            return False
        assert found[0].verdict == self._verdict(self.codec.decode(body)), "judged differently"
        return True

    def _lands(self, body: bytes, slow: list[bytes | None] | None) -> None:
        outputs: list[Any] = [([], []) for _ in self._hashes]
        moved: dict[bytes, Any] = {}
        left, gone = self.kernel.land(
            [b"k" * 16], [body], self.choices, {}, frozenset(), outputs, self._hashes, moved
        )
        whole = slow is not None and None not in slow
        assert left == ([] if whole else [0]) and gone == 0, "another record is left"
        assert bool(moved) == whole, "another holder"
        expected = [[one] for one in slow or ()] if whole else [[] for _ in outputs]
        assert [values for _, values in outputs] == expected, "a batch shows something else"

    def _names(self) -> set[str]:
        return {str(one["name"]) for one in self.world.writer["fields"]}

    def _verdict_of(self, row: Sequence[bytes | None]) -> Any:
        return self._verdict(
            {
                name: None if raw is None else read(raw)
                for (name, read), raw in zip(self._read, row, strict=True)
            }
        )

    def _verdict(self, record: Any) -> Any:
        ages = [evaluate(one, record, YEAR) for one in self._ages]
        return (*ages, *(repr(record[name]) for name in self._whole))
