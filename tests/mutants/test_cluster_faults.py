"""Planted faults in who may read on a cluster, each noticed by its test."""

from pathlib import Path

import pytest

from tests.mutants.cluster_faults import CLUSTER
from tests.mutants.faults import Fault
from tests.mutants.planting import assert_noticed


@pytest.mark.parametrize("fault", CLUSTER, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    assert_noticed(copy, fault)
