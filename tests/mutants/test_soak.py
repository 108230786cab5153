"""Each test of what must stay right under trouble fails when its fault is planted: `./run soak`."""

from pathlib import Path

import pytest

from tests.mutants.faults import Fault
from tests.mutants.planting import ROOT, assert_noticed, functions_in, run
from tests.mutants.soak_faults import SOAK
from tests.mutants.soak_web_faults import SOAK_WEB
from tests.mutants.web_faults import WEB

EVERY = (*SOAK, *SOAK_WEB)
COVERED = (
    "away", "clock", "damage", "full", "kill", "lines", "locked", "meanwhile", "processes",
    "role_kills", "slow",
)  # fmt: skip
"""Modules of `tests/faults` of which every test has its fault."""
LONGEST = 600.0
"""Seconds that a test may take to notice."""


@pytest.mark.soak
def test_without_a_fault_every_test_holds_in_the_copy(copy: Path) -> None:
    result = run(copy, *sorted({fault.law for fault in EVERY}), seconds=3 * LONGEST)
    assert result.returncode == 0, result.stdout[-2000:]


@pytest.mark.soak
@pytest.mark.parametrize("fault", EVERY, ids=str)
def test_the_test_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault, LONGEST)


def test_every_test_of_trouble_has_its_fault() -> None:
    covered = {fault.law.partition("[")[0] for fault in (*EVERY, *WEB)}
    for name in COVERED:
        file = f"tests/faults/test_{name}.py"
        assert {f"{file}::{one}" for one in functions_in(ROOT / file)} <= covered
