"""`./run wheel [--all]`: a wheel with the compiled kernel, tried where nothing else is.

Law: what is built comes from a copy of the sources alone, never from what an earlier build left. A
wheel without the kernel is no wheel: the extension is optional for those who install from source.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
SOURCES = (
    "broker", "connectors", "schemas", "policies", "pyproject.toml", "README.md", "LICENSE",
)  # fmt: skip
LEFT_OVER = ("__pycache__", "*.so", "*.pyd", "*.c", "*.egg-info")
KERNEL = "broker/projection/kernel."
RUNS = "from broker.projection.projector import has_kernel; assert has_kernel(), 'no kernel'"


def copied(folder: Path) -> Path:
    """The sources alone, there."""
    target = folder / "sources"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, target / name, ignore=shutil.ignore_patterns(*LEFT_OVER)
            )  # fmt: skip
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def installing(python: str, *words: str) -> list[str]:
    """The command that installs for a Python: by pip, or by uv where it has none."""
    if _has_pip(python):
        return [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *words]
    return ["uv", "pip", "install", "--quiet", "--python", python, *words]


def built(sources: Path, folder: Path) -> Path:
    """The wheel of this machine and this Python."""
    if _has_pip(sys.executable):
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
        _do([*command, "--no-deps", "--wheel-dir", str(folder), str(sources)])
    else:
        python = ["--python", sys.executable]
        _do(["uv", "build", "--quiet", "--wheel", *python, "--out-dir", str(folder), str(sources)])
    (wheel,) = folder.glob("shuqiao-*.whl")
    return wheel


def has_compiled(wheel: Path) -> bool:
    """Whether the kernel is in it, compiled."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    return any(one.startswith(KERNEL) and one.endswith((".so", ".pyd")) for one in names)


def try_out(wheel: Path, folder: Path) -> None:
    """Install it where nothing else is, and see that the kernel runs and the command starts."""
    place = folder / "fresh"
    if _has_pip(sys.executable):
        _do([sys.executable, "-m", "venv", str(place)])
    else:
        _do(["uv", "venv", "--quiet", "--python", sys.executable, str(place)])
    python = str(place / "bin" / "python")
    _do(installing(python, str(wheel)))
    away = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    _do([python, "-c", RUNS], cwd=folder, env=away)
    _do([str(place / "bin" / "shuqiao"), "--help"], cwd=folder, env=away, quiet=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run wheel", description=__doc__)
    parser.add_argument(
        "--all", action="store_true", help="of every platform in pyproject.toml, by cibuildwheel"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where to; dist")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="shuqiao-wheel-") as name:
        folder = Path(name)
        sources = copied(folder)
        if asked.all:
            return _every(sources, asked.out.resolve())
        (made := folder / "made").mkdir()
        wheel = built(sources, made)
        if not has_compiled(wheel):
            print("the wheel lacks the kernel: is there a C compiler?", file=sys.stderr)
            return 1
        try_out(wheel, folder)
        kept = shutil.copy(wheel, asked.out)
    print(f"{kept}: the kernel is in it, and runs from a fresh environment")
    return 0


def _every(sources: Path, out: Path) -> int:
    lacks = _lacking()
    if lacks:
        print(f"--all needs {lacks}; without it: this machine's alone", file=sys.stderr)
        return 2
    _do([sys.executable, "-m", "cibuildwheel", "--output-dir", str(out), str(sources)])
    return 0


def _lacking() -> str:
    if importlib.util.find_spec("cibuildwheel") is None:
        return "cibuildwheel (pip install cibuildwheel)"
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode:
        return "a Docker that runs"
    return ""


def _has_pip(python: str) -> bool:
    command = [python, "-m", "pip", "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _do(
    command: Sequence[str],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> None:
    told = subprocess.DEVNULL if quiet else None
    subprocess.run(command, cwd=cwd, env=env, check=True, stdout=told)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} failed: see above")
