"""Installed from source without a C compiler: it succeeds, and the reference does the work."""

import os
import subprocess
import sys
from pathlib import Path

from deploy import wheel
from tests.debian import lacking

ASKED = """
import sys
import broker
assert broker.__file__.startswith(sys.argv[1]), broker.__file__
from broker.projection import projector
assert not projector.has_kernel(), "a kernel runs"
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
RELAYED = wheel.ROOT / "tests" / "unit" / "test_relay.py"
"""What is relayed comes out as it must, whichever of the two projects."""


def test_without_a_compiler_it_installs_and_the_reference_runs(tmp_path: Path) -> None:
    place = tmp_path / "place"
    command = wheel.installing(sys.executable, "--no-deps", "--target", str(place))
    without = os.environ | {"CC": "false", "CXX": "false", "LDSHARED": "false"}
    installed = subprocess.run(
        [*command, str(wheel.copied(tmp_path))],
        env=without, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "satisfies the requirement setuptools" in installed.stderr:
        lacking("no package registry is reached: nothing can be built from source")
    assert installed.returncode == 0, installed.stderr[-2000:]
    assert (place / "broker" / "projection" / "program.py").exists()
    assert not list((place / "broker" / "projection").glob("kernel*.so"))
    words = [str(place), "-q", "-o", "addopts=", "-p", "no:cacheprovider", str(RELAYED)]
    ran = subprocess.run(
        [sys.executable, "-c", ASKED, *words],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(place)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]
    assert " passed" in ran.stdout
