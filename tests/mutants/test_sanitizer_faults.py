"""Planted faults that read where nothing is: under the sanitizers the first read is the last."""

from pathlib import Path

import pytest

from tests.debian import lacking
from tests.integration.test_kernel_sanitized import PYTEST
from tests.mutants.faults import Fault
from tests.mutants.sanitizer_faults import SANITIZED
from tests.sanitized import building


@pytest.mark.parametrize("fault", SANITIZED, ids=str)
def test_the_sanitizers_notice(tmp_path: Path, fault: Fault) -> None:
    try:
        building.sanitizers()
    except building.Lacking as error:
        lacking(str(error))
    good = building.PYX.read_text("utf-8")
    assert good.count(fault.old) == 1, "the fault no longer fits its file"
    # not optimized: it is built in half the time
    flags = (*building.WATCHED, "-O0")
    kernel = building.built(tmp_path, flags, pyx=good.replace(fault.old, fault.new))
    result = building.run(kernel, *PYTEST, fault.law)
    assert result.returncode == building.FOUND, (result.stdout + result.stderr)[-3000:]
    assert "kernel.c" in result.stderr or "kernel.cpython" in result.stderr, result.stderr[-3000:]
