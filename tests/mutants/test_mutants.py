"""Each law fails when its fault is planted; a law that cannot fail proves nothing."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.mutants.cluster_faults import CLUSTER
from tests.mutants.connector_faults import CONNECTORS
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.path_faults import PATH
from tests.mutants.planting import ROOT, assert_noticed, copied, functions_in, run
from tests.mutants.web_faults import WEB

EVERY = (*FAULTS, *PATH, *WEB, *CONNECTORS, *CLUSTER)


CORES = os.cpu_count() or 1


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> "SimpleQueue[Path]":
    """A copy of the product for each core."""
    made: SimpleQueue[Path] = SimpleQueue()
    for _ in range(CORES):
        folder = tmp_path_factory.mktemp("mutants")
        copied(folder)
        made.put(folder)
    return made


def test_without_a_fault_every_law_holds_in_the_copy(copies: "SimpleQueue[Path]") -> None:
    laws = sorted({fault.law for fault in EVERY})

    def hold(some: list[str]) -> None:
        folder = copies.get()
        try:
            result = run(folder, *some, SHUQIAO_EXAMPLES="25")
        finally:
            copies.put(folder)
        tail = result.stdout[-2000:]
        passed = re.search(r"(\d+) passed", tail)
        assert passed and int(passed[1]) >= len(some) and not re.search(r"\d failed", tail), tail
        assert "too few interesting cases" in tail or result.returncode == 0, tail

    with ThreadPoolExecutor(CORES) as pool:
        for done in [pool.submit(hold, laws[n::CORES]) for n in range(CORES)]:
            done.result()


@pytest.fixture(scope="module")
def trials(
    request: pytest.FixtureRequest, copies: "SimpleQueue[Path]"
) -> Iterator[dict[Fault, Future[None]]]:
    """Every fault that is asked for: as many at once as there are cores, each in a copy of its
    own."""

    def trial(fault: Fault) -> None:
        folder = copies.get()
        try:
            assert_noticed(folder, fault)
        finally:
            copies.put(folder)

    asked = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = [one.params["fault"] for one in asked if one and one.params.get("fault") in EVERY]
    with ThreadPoolExecutor(CORES) as pool:
        yield {fault: pool.submit(trial, fault) for fault in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("fault", EVERY, ids=str)
def test_the_law_notices(trials: dict[Fault, Future[None]], fault: Fault) -> None:
    trials[fault].result()


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
