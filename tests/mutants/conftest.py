"""What the tests of planted faults stand on."""

from pathlib import Path

import pytest

from tests.mutants.planting import copied
from tests.mutants.trials import Trials

TRIALS = pytest.StashKey[Trials]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin with the faults that are asked for, beside the other tests."""
    mine = [one for one in session.items if one.path.name == "test_mutants.py"]
    if not mine or session.config.option.collectonly:
        return
    from tests.mutants.test_mutants import EVERY

    laws = sorted({fault.law for fault in EVERY})
    whole = any("without_a_fault" in one.name for one in mine)
    specs = [getattr(one, "callspec", None) for one in mine]
    faults = [one.params["fault"] for one in specs if one is not None]
    session.config.stash[TRIALS] = Trials(laws if whole else (), faults)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Begin no more of them."""
    if (trials := session.config.stash.get(TRIALS, None)) is not None:
        trials.close()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product that a module's faults are planted in."""
    folder = tmp_path_factory.mktemp("mutants")
    copied(folder)
    return folder
