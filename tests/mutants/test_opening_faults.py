"""Planted faults of shares that open and of the relay's batches, each noticed by its test."""

from pathlib import Path

import pytest

from tests.mutants.faults import Fault
from tests.mutants.opening_faults import OPENINGS
from tests.mutants.planting import assert_noticed


@pytest.mark.parametrize("fault", OPENINGS, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault)
