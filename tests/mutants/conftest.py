"""What the tests of planted faults stand on."""

from pathlib import Path

import pytest

from tests.mutants.planting import copied


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product that faults are planted in."""
    folder = tmp_path_factory.mktemp("mutants")
    copied(folder)
    return folder
