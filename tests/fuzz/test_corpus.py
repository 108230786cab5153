"""Every input that was kept is shown, or refused, by the kernel as by the reference; so is each of
them cut short, and with something behind it.
"""

import pytest

from tests.fuzz import corpus
from tests.fuzz.oracle import Oracle
from tests.fuzz.programs import programs
from tests.kernel import needs_kernel

needs_kernel()

KEPT = corpus.read()
CUTS = 60
"""At how many places, evenly spread, an input is cut."""


def test_every_program_has_inputs_and_they_are_of_either_kind() -> None:
    """Records, and what is none; otherwise nothing is replayed."""
    assert KEPT.keys() == programs().keys() and all(KEPT.values())
    kinds = {Oracle(programs()[name]).check(body) for name in KEPT for body in KEPT[name]}
    assert kinds == {True, False}


@pytest.mark.parametrize("name", programs())
def test_what_was_kept_is_shown_by_the_kernel_as_by_the_reference(name: str) -> None:
    oracle = Oracle(programs()[name])
    for body in KEPT[name]:
        oracle.check(body)


@pytest.mark.parametrize("name", programs())
def test_cut_or_with_something_behind_it_is_refused_alike(name: str) -> None:
    oracle = Oracle(programs()[name])
    for body in KEPT[name]:
        if oracle.check(body):
            step = max(len(body) // CUTS, 1)
            for cut in range(0, len(body), step):
                assert not oracle.check(body[:cut])
            assert not oracle.check(body + b"\x00")
