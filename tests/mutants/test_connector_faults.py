"""Planted faults in reading sources, each noticed by its test."""

from pathlib import Path

import pytest

from tests.mutants.collecting_faults import COLLECTING
from tests.mutants.connector_faults import CONNECTORS
from tests.mutants.faults import Fault
from tests.mutants.planting import assert_noticed


@pytest.mark.parametrize("fault", (*COLLECTING, *CONNECTORS), ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault)
