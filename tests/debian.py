"""Programs of Debian's that tests need: installed where that can be done, else a reason to skip.

Law: what is missing is said; where services are required it fails.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

REQUIRED = bool(os.environ.get("SHUQIAO_REQUIRE_SERVICES"))


def needs(program: str, package: str = "") -> str:
    """Where the program is; skips the test where it cannot be had."""
    package = package or program
    if found := shutil.which(program):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with (Path(tempfile.gettempdir()) / "shuqiao-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another lane may be at it
            _install(package)
    if found := shutil.which(program):
        return found
    lacking(f"{program} not found: install {package}")
    return ""


def _install(package: str) -> None:
    for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run(
            ["apt-get", "-q", *words], capture_output=True, check=False, timeout=300,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip


def lacking(reason: str) -> None:
    """Skip, or fail where services are required."""
    (pytest.fail if REQUIRED else pytest.skip)(reason)
