"""Each law fails when its fault is planted; a law that cannot fail proves nothing."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.connector_faults import CONNECTORS
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.path_faults import PATH
from tests.mutants.web_faults import WEB

ROOT = Path(__file__).parents[2]
EVERY = (*FAULTS, *PATH, *WEB, *CONNECTORS)
PARTS = ("broker", "connectors", "schemas", "policies", "tests", "pyproject.toml")

OF_THE_LAW = re.compile(
    r"^E +(AssertionError|assert |Failed: DID NOT RAISE|broker\.errors\.)", re.MULTILINE
)
"""What the law itself says: an assertion, or another refusal than the one it expected."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            shutil.copy(source, folder / part)
    # by hash, so that a planted fault is seen whenever it is written; compiled once for all
    compiled = ["compileall", "-q", "--invalidation-mode", "checked-hash", str(folder)]
    subprocess.run([sys.executable, "-m", *compiled], check=True)
    return folder


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Pytest in the copy. The floors of a module's counters may fail where one law runs alone:
    that is an error, not a failure, and proves nothing here."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SHUQIAO_MUTANT": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # no law needs them, and they load for seconds
        **environment,
    }
    where = "import broker, pytest, sys; assert broker.__file__.startswith(sys.argv.pop(1)); "
    return subprocess.run(
        [sys.executable, "-c", where + "sys.exit(pytest.main(sys.argv[1:]))", str(folder),
         "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin",
         "--hypothesis-seed=0", "--no-header",
         *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_without_a_fault_every_law_holds_in_the_copy(copy: Path) -> None:
    laws = {fault.law for fault in EVERY}
    result = run(copy, *sorted(laws), SHUQIAO_EXAMPLES="25")
    tail = result.stdout[-2000:]
    passed = re.search(r"(\d+) passed", tail)
    assert passed and int(passed[1]) >= len(laws) and " failed" not in tail, tail
    assert "too few interesting cases" in tail or result.returncode == 0, tail


@pytest.mark.parametrize("fault", EVERY, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    file = copy / fault.file
    good = file.read_text("utf-8")
    assert good.count(fault.old) == 1, "the fault no longer fits its file"
    try:
        file.write_text(good.replace(fault.old, fault.new), "utf-8")
        result = run(copy, "-x", fault.law)
    finally:
        file.write_text(good, "utf-8")
    assert result.returncode == 1 and "1 failed" in result.stdout, result.stdout[-2000:]
    assert f"FAILED {fault.law.partition('[')[0]}" in result.stdout
    broken = result.stdout.partition("= FAILURES =")[2].partition("short test summary")[0]
    assert OF_THE_LAW.search(broken), "the product broke before the law could judge"


def test_every_law_has_its_fault() -> None:
    covered = {
        fault.law.rpartition("::")[2].partition("[")[0]
        for fault in FAULTS
        if fault.law.startswith("tests/laws/")
    }
    laws = set()
    for file in sorted((ROOT / "tests" / "laws").glob("test_*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        laws |= {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }
    assert laws - {"test_the_interesting_cases_occurred"} == covered
