"""The kernel under AddressSanitizer and UndefinedBehaviorSanitizer: its laws, its programs and the
corpus, and nothing is read or written where nothing is.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.debian import lacking
from tests.sanitized import building

PYTEST = (
    "pytest", "-q", "-s", "-x", "-o", "addopts=", "-p", "no:cacheprovider",
    "-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0",
)  # fmt: skip
EXAMPLES = "40"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    try:
        building.sanitizers()
    except building.Lacking as error:
        lacking(str(error))
    yield building.built(tmp_path_factory.mktemp("sanitized"))


@pytest.mark.parametrize(
    "tests",
    [
        ("tests/laws/test_kernel_laws.py", "tests/laws/test_landing_laws.py"),
        ("tests/unit/test_kernel_programs.py", "tests/unit/test_kernel_damage.py"),
        ("tests/unit/test_kernel_threads.py",),
        ("tests/fuzz/test_corpus.py",),
    ],
    ids=["laws", "programs", "threads", "corpus"],
)
def test_nothing_is_touched_out_of_bounds(kernel: Path, tests: tuple[str, ...]) -> None:
    words = [word for word in PYTEST if word != "-x"]
    result = building.run(kernel, *words, *tests, SHUQIAO_EXAMPLES=EXAMPLES)
    told = (result.stdout + result.stderr)[-3000:]
    # of so few examples the floors of what is interesting may be missed: an error, no failure
    assert result.returncode == 0 or "too few interesting cases" in result.stdout, told
    assert not re.search(r"\d failed", result.stdout), told
    assert re.search(r"\d+ passed", result.stdout), told
