"""Planted faults in HTTP and the schema registry, each noticed by its test."""

from pathlib import Path

import pytest

from tests.mutants.faults import Fault
from tests.mutants.planting import assert_noticed
from tests.mutants.web_faults import WEB


@pytest.mark.parametrize("fault", WEB, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault)
