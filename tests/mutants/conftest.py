"""The copy of the product that a module's faults are planted in."""

from pathlib import Path

import pytest

from tests.mutants.planting import copied


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants")
    copied(folder)
    return folder
