"""One kernel in many threads at once: each gets what it gets alone."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Any

import pytest

from broker.projection import projector
from tests.fuzz import mutate
from tests.fuzz.oracle import Judged, Oracle
from tests.fuzz.programs import programs
from tests.kernel import needs_kernel

needs_kernel()

THREADS = 8
ROUNDS = 2


@pytest.fixture(autouse=True)
def _often() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("name", ["ga.resident_base", "masks_null_first", "odd"])
def test_eight_threads_get_what_one_gets(name: str) -> None:
    dice = Random(5)
    world = programs()[name]
    bodies = [mutate.record(world, dice) for _ in range(80)]
    bodies += [mutate.bytes_changed(body, bodies, dice) for body in bodies]
    alone = [_outcome(Oracle(world), body) for body in bodies]
    assert None in alone and any(alone)
    shared = Oracle(world)
    start = Barrier(THREADS)

    def work(number: int) -> list[Any]:
        order = [*range(len(bodies))] * ROUNDS
        Random(number).shuffle(order)  # each meets another record while others are in the middle
        start.wait()
        return [(at, _outcome(shared, bodies[at])) for at in order]

    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(work, range(THREADS)):
            for at, outcome in found:
                assert outcome == alone[at]


def test_eight_threads_land_what_one_lands() -> None:
    dice = Random(6)
    world = programs()["ga.resident_base"]
    bodies = [mutate.record(world, dice) for _ in range(100)]
    keys = [number.to_bytes(16, "big") for number in range(len(bodies))]
    alone = _landed(Oracle(world), keys, bodies)
    shared = Oracle(world)
    start = Barrier(THREADS)

    def work(_: int) -> list[Any]:
        start.wait()
        return [_landed(shared, keys, bodies) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(work, range(THREADS)):
            assert found == [alone] * ROUNDS


def _outcome(oracle: Oracle, body: bytes) -> Any:
    found = oracle.kernel.project(body, oracle.choices)
    return found and (found[0].verdict, found[1])


def _landed(oracle: Oracle, keys: list[bytes], bodies: list[bytes]) -> Any:
    outputs: list[Any] = [([], []) for _ in oracle.world.templates]
    hashes = [projector.keyed(b"s" * 32) for _ in outputs]
    moved: dict[bytes, Any] = {}
    choices = oracle.choices
    left = oracle.kernel.land(keys, bodies, choices, {}, frozenset(), outputs, hashes, moved)
    return left, outputs, moved


def test_a_memo_that_is_emptied_meanwhile_changes_nothing() -> None:
    """What waits for an answer goes on with what it holds."""
    world = programs()["ga.resident_base"]
    dice = Random(7)
    bodies = [mutate.record(world, dice) for _ in range(60)]
    alone = [_outcome(Oracle(world), body) for body in bodies]
    oracle = Oracle(world)

    def forgetting(division: str | None) -> Judged:
        oracle.choices.reached.clear()
        oracle.choices.verdicts.clear()
        oracle.choices.known.clear()
        return Judged(range(len(world.templates)))

    oracle.choices = projector._kernel.Choices(
        forgetting, oracle._verdict_of, lambda reached, one: Judged(reached.templates, one)
    )
    assert [_outcome(oracle, body) for body in bodies] == alone
