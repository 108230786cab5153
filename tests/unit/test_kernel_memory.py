"""What the kernel remembers is bounded, and what it has forgotten it finds again."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from broker.projection import projector
from broker.projection.avro import Codec
from tests.fuzz import mutate
from tests.fuzz.oracle import Oracle
from tests.fuzz.programs import programs
from tests.kernel import needs_kernel
from tests.laws.records import VILLAGES
from tests.unit.test_kernel_judging import judging

needs_kernel()

MOST = 50
HOLDERS = [frozenset({f"from{n}"}) for n in range(33)]


class Chosen:
    """Every template goes to its own share, whoever held the key; which is counted."""

    def __init__(self, templates: Sequence[int]) -> None:
        self.templates = templates
        self.changes: dict[frozenset[str], Any] = {}

    def change(self, held: frozenset[str]) -> Any:
        slots = tuple((place, place) for place in range(len(self.templates)))
        return slots, (), held | {"to"}


class Reached(dict[Any, Chosen]):
    """A division."""


def landed(most: int) -> tuple[Any, int]:
    """What becomes of one record under many keys, held by as many; how much is remembered, share
    by share."""
    world = programs()["ga.resident_base"]
    oracle = Oracle(world)
    every = range(len(world.templates))
    choices = projector._kernel.Choices(
        lambda division: Reached(), oracle._verdict_of, lambda reached, verdict: Chosen(every), most
    )
    held = {bytes([n]) * 16: holders for n, holders in enumerate(HOLDERS)}
    outputs: list[Any] = [([], []) for _ in every]
    moved: dict[bytes, Any] = {}
    body = shown(oracle)
    for _ in range(2):
        left, _ = oracle.kernel.land(
            list(held), [body] * len(held), choices, held, frozenset(), outputs, oracle._hashes,
            moved,
        )  # fmt: skip
        assert not left
    chosen = [one for reached in choices.reached.values() for one in reached.values()]
    weight = [1 + len(writes) for one in chosen for writes, _, _ in one.changes.values()]
    return (outputs, moved), len(chosen) + sum(weight)


def shown(oracle: Oracle) -> bytes:
    """A record that every share can show."""
    dice = Random(7)
    drawn = (mutate.record(oracle.world, dice) for _ in range(1_000))
    return next(body for body in drawn if None not in (oracle.slow(body) or [None]))


def test_of_divisions_and_holders_together_no_more_is_kept_than_that() -> None:
    """People move from every village to every other: each is bounded, their product is many."""
    every, all_of_it = landed(1 << 16)
    some, few = landed(MOST)
    assert some == every
    assert all_of_it > len(HOLDERS) + 1 and 0 < few <= MOST


@pytest.mark.parametrize(("size", "kept"), [(200, 1), (5_000, 0)])
def test_a_long_text_that_rules_read_is_not_kept(size: int, kept: int) -> None:
    oracle = judging()
    codec = Codec(oracle.world.writer)
    for end in "aab":
        made = {"number": None, "birth": None, "code": "x" * size + end, "scope": VILLAGES[0]}
        assert oracle.check(codec.encode(made))
    assert len(oracle.choices.verdicts) == 2 * kept
