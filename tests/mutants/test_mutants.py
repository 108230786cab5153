"""Each law fails when its fault is planted; a law that cannot fail proves nothing."""

import pytest

from tests.mutants.cluster_faults import CLUSTER
from tests.mutants.conftest import TRIALS
from tests.mutants.connector_faults import CONNECTORS
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.path_faults import PATH
from tests.mutants.planting import ROOT, functions_in
from tests.mutants.trials import Trials
from tests.mutants.web_faults import WEB

EVERY = (*FAULTS, *PATH, *WEB, *CONNECTORS, *CLUSTER)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest) -> Trials:
    """What has been tried since the run began; now nothing else is to be waited for."""
    found: Trials = request.config.stash[TRIALS]
    found.alone()
    return found


def test_without_a_fault_every_law_holds_in_the_copy(trials: Trials) -> None:
    assert trials.without_a_fault()
    for done in trials.without_a_fault():
        done.result()


@pytest.mark.parametrize("fault", EVERY, ids=str)
def test_the_law_notices(trials: Trials, fault: Fault) -> None:
    trials.of(fault).result()


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
