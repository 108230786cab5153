"""Every law has a planted fault (`test_…_faults`), and holds in the copy where there is none."""

from pathlib import Path

import pytest

from tests.mutants.cluster_faults import CLUSTER
from tests.mutants.collecting_faults import COLLECTING
from tests.mutants.connector_faults import CONNECTORS
from tests.mutants.faults import FAULTS
from tests.mutants.kernel_faults import KERNEL
from tests.mutants.opening_faults import OPENINGS
from tests.mutants.path_faults import PATH
from tests.mutants.planting import ROOT, assert_holds, functions_in
from tests.mutants.web_faults import WEB

EVERY = (*FAULTS, *KERNEL, *COLLECTING, *PATH, *OPENINGS, *WEB, *CONNECTORS, *CLUSTER)


LAWS = sorted({fault.law for fault in EVERY})
PARTS = 4
"""In how many runs the laws are tried without a fault, beside each other where there are lanes."""


@pytest.mark.parametrize("part", range(PARTS))
def test_without_a_fault_every_law_holds_in_the_copy(copy: Path, part: int) -> None:
    assert_holds(copy, LAWS[part::PARTS])


def test_every_law_has_its_fault() -> None:
    covered = {
        fault.law.rpartition("::")[2].partition("[")[0]
        for fault in EVERY
        if fault.law.startswith("tests/laws/")
    }
    laws = set()
    for file in sorted((ROOT / "tests" / "laws").glob("test_*.py")):
        laws |= functions_in(file)
    assert laws - {"test_the_interesting_cases_occurred"} == covered
