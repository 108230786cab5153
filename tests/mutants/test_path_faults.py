"""Planted faults in the way of a record, each noticed by its test."""

from pathlib import Path

import pytest

from tests.mutants.faults import Fault
from tests.mutants.path_faults import PATH
from tests.mutants.planting import assert_noticed


@pytest.mark.parametrize("fault", PATH, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault)
