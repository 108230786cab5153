"""A copy of the product in which faults are planted, and a test run there."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.faults import Fault

ROOT = Path(__file__).parents[2]
PARTS = ("broker", "connectors", "schemas", "policies", "deploy", "tests", "pyproject.toml")

_BEFORE = dict(os.environ)
"""The environment before any test has changed it: they go on beside the planted faults."""

OF_THE_LAW = re.compile(r"^E +(AssertionError|assert |Failed: |broker\.errors\.)", re.MULTILINE)
"""What the law itself says: an assertion, or another refusal than the one it expected."""


def copied(folder: Path) -> None:
    """Copy the product and its tests there, compiled."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "target")
            shutil.copytree(source, folder / part, ignore=ignore)
            if (jars := source / "kafka" / "target").is_dir():
                (folder / part / "kafka" / "target").symlink_to(jars)
        else:
            shutil.copy(source, folder / part)
    # by hash, so that a planted fault is seen whenever it is written; compiled once for all
    compiled = ["compileall", "-q", "--invalidation-mode", "checked-hash", str(folder)]
    subprocess.run([sys.executable, "-m", *compiled], check=True)


def run(
    folder: Path, *words: str, seconds: float = 600, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Pytest in the copy. The floors of a module's counters may fail where one law runs alone:
    that is an error, not a failure, and proves nothing here."""
    environment = {
        **_BEFORE,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SHUQIAO_MUTANT": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # no law needs them, and they load for seconds
        **environment,
    }
    where = "import broker, pytest, sys; assert broker.__file__.startswith(sys.argv.pop(1)); "
    python = ["nice", "-n", "5", sys.executable, "-c"]
    return subprocess.run(
        [*python, where + "sys.exit(pytest.main(sys.argv[1:]))", str(folder),
         "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin",
         "--hypothesis-seed=0", "--no-header",
         *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip


def assert_holds(folder: Path, laws: Sequence[str]) -> None:
    """Nothing is planted in the copy: all of these hold there."""
    result = run(folder, *laws, SHUQIAO_EXAMPLES="25")
    tail = result.stdout[-2000:]
    passed = re.search(r"(\d+) passed", tail)
    assert passed and int(passed[1]) >= len(laws) and not re.search(r"\d failed", tail), tail
    assert "too few interesting cases" in tail or result.returncode == 0, tail


def assert_noticed(folder: Path, fault: Fault, seconds: float = 600) -> None:
    """Plant the fault in the copy: its test fails, and by what the test itself says."""
    file = folder / fault.file
    good = file.read_text("utf-8")
    assert good.count(fault.old) == 1, "the fault no longer fits its file"
    try:
        file.write_text(good.replace(fault.old, fault.new), "utf-8")
        _built(file)
        # many examples, as the first that tells ends the run
        result = run(folder, "-x", fault.law, seconds=seconds, SHUQIAO_EXAMPLES="2000")
    finally:
        file.write_text(good, "utf-8")
        _built(file)
    assert result.returncode == 1 and "1 failed" in result.stdout, result.stdout[-2000:]
    assert f"FAILED {fault.law.partition('[')[0]}" in result.stdout
    broken = result.stdout.partition("= FAILURES =")[2].partition("short test summary")[0]
    assert OF_THE_LAW.search(broken), "the product broke before the law could judge"


def _built(file: Path) -> None:
    """Build a kernel's file anew, where it is one."""
    if file.suffix == ".pyx":
        code = file.with_suffix(".c")
        subprocess.run(
            [sys.executable, "-m", "cython", "-3", str(file), "-o", str(code)], check=True
        )
        include = sysconfig.get_paths()["include"]
        target = file.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
        command = [*shlex.split(sysconfig.get_config_var("CC")), "-O0", "-shared", "-fPIC"]
        subprocess.run([*command, f"-I{include}", str(code), "-o", str(target)], check=True)


def functions_in(file: Path) -> set[str]:
    """The names of a module's test functions."""
    tree = ast.parse(file.read_text("utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
