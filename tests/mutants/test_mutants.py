"""Each law fails when its fault is planted; a law that cannot fail proves nothing."""

import re
from pathlib import Path

import pytest

from tests.mutants.connector_faults import CONNECTORS
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.path_faults import PATH
from tests.mutants.planting import ROOT, assert_noticed, functions_in, run
from tests.mutants.web_faults import WEB

EVERY = (*FAULTS, *PATH, *WEB, *CONNECTORS)


def test_without_a_fault_every_law_holds_in_the_copy(copy: Path) -> None:
    laws = {fault.law for fault in EVERY}
    result = run(copy, *sorted(laws), SHUQIAO_EXAMPLES="25")
    tail = result.stdout[-2000:]
    passed = re.search(r"(\d+) passed", tail)
    assert passed and int(passed[1]) >= len(laws) and " failed" not in tail, tail
    assert "too few interesting cases" in tail or result.returncode == 0, tail


@pytest.mark.parametrize("fault", EVERY, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault)


def test_every_law_has_its_fault() -> None:
    covered = {
        fault.law.rpartition("::")[2].partition("[")[0]
        for fault in FAULTS
        if fault.law.startswith("tests/laws/")
    }
    laws = set()
    for file in sorted((ROOT / "tests" / "laws").glob("test_*.py")):
        laws |= functions_in(file)
    assert laws - {"test_the_interesting_cases_occurred"} == covered
