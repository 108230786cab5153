"""Planted faults in what the laws of deciding, projecting and the log hold; each is noticed."""

from pathlib import Path

import pytest

from tests.kernel import needs_kernel
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.kernel_faults import KERNEL
from tests.mutants.planting import assert_noticed


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault)


@pytest.mark.parametrize("fault", KERNEL, ids=str)
def test_the_kernels_law_notices(copy: Path, fault: Fault) -> None:
    needs_kernel()
    assert_noticed(copy, fault)
