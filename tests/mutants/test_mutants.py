"""Each law fails when its fault is planted; a law that cannot fail proves nothing."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
PARTS = ("broker", "connectors", "schemas", "policies", "tests", "pyproject.toml")


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
    return folder


def run(folder: Path, law: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SHUQIAO_MUTANT": "1",
    }
    where = "import broker, pytest, sys; assert broker.__file__.startswith(sys.argv.pop(1)); "
    return subprocess.run(
        [sys.executable, "-c", where + "sys.exit(pytest.main(sys.argv[1:]))", str(folder),
         "-x", "-q", "-p", "no:cacheprovider", "--no-header", law],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_law_notices(copy: Path, fault: Fault) -> None:
    file = copy / fault.file
    good = file.read_text("utf-8")
    assert good.count(fault.old) == 1, "the fault no longer fits its file"
    try:
        file.write_text(good.replace(fault.old, fault.new), "utf-8")
        result = run(copy, fault.law)
    finally:
        file.write_text(good, "utf-8")
    name = fault.law.rpartition("::")[2]
    assert result.returncode == 1 and f"{name}" in result.stdout, result.stdout[-2000:]
    assert "FAILED" in result.stdout and "error during collection" not in result.stdout


def test_every_law_has_its_fault() -> None:
    covered = {fault.law.rpartition("::")[2].partition("[")[0] for fault in FAULTS}
    laws = set()
    for file in sorted((ROOT / "tests" / "laws").glob("test_*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        laws |= {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }
    assert laws - {"test_the_interesting_cases_occurred"} == covered
