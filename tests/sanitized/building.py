"""The projection kernel as the sanitizers see it: built for them, and run where they are loaded.

Law: what is missing here is said; where services are required it fails. A build is in a folder of
its own: the kernel of this installation stays as it is.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYX = ROOT / "broker" / "projection" / "kernel.pyx"

WATCHED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
"""Flags of a build that ends with its first access outside of what it was given."""

FOUND = 99
"""What a process exits with that a sanitizer has ended."""

LIBRARIES = ("libasan.so", "libubsan.so")


class Lacking(Exception):
    """There is no compiler, or no sanitizer; which one."""


def compiler() -> list[str]:
    """The C compiler that Python itself was built by, as it is called; else `cc`."""
    usual = shlex.split(sysconfig.get_config_var("CC") or "cc")
    for words in (usual, ["cc"], ["gcc"]):
        if shutil.which(words[0]):
            return words
    raise Lacking("no C compiler was found")


def sanitizers() -> list[Path]:
    """The libraries of the sanitizers, which must be loaded before all others."""
    found = []
    for name in LIBRARIES:
        words = [compiler()[0], f"-print-file-name={name}"]
        told = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
        if not os.path.isabs(told) or not Path(told).exists():
            raise Lacking(f"{name} was not found beside the C compiler")
        found.append(Path(told))
    return found


def environment() -> dict[str, str]:
    """Of a process in which the sanitizers see every allocation of Python's."""
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(map(str, sanitizers())),
        "ASAN_OPTIONS": f"detect_leaks=0:exitcode={FOUND}:allocator_may_return_null=1",
        "UBSAN_OPTIONS": f"print_stacktrace=1:exitcode={FOUND}",
        "PYTHONMALLOC": "malloc",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def built(
    folder: Path,
    flags: Sequence[str] = WATCHED,
    *,
    pyx: str | None = None,
    beside: Sequence[Path] = (),
) -> Path:
    """The kernel, built there with these flags; of another source if one is given, and with C
    sources beside it to which the flags do not apply."""
    include = f"-I{sysconfig.get_paths()['include']}"
    source, code = folder / "kernel.pyx", folder / "kernel.c"
    source.write_text(PYX.read_text("utf-8") if pyx is None else pyx, "utf-8")
    name = ["--module-name", "broker.projection.kernel"]
    _do([sys.executable, "-m", "cython", "-3", *name, str(source), "-o", str(code)])
    target = folder / f"kernel{sysconfig.get_config_var('EXT_SUFFIX')}"
    common = [*compiler(), "-O1", "-g1", "-fPIC", include]
    objects = [folder / "kernel.o"]
    _do([*common, *flags, "-c", str(code), "-o", str(objects[0])])
    for one in beside:
        objects.append(folder / f"{one.stem}.o")
        _do([*common, "-c", str(one), "-o", str(objects[-1])])
    watched = [flag for flag in flags if flag.startswith("-fsanitize=")]
    _do([*compiler(), "-shared", *watched, *map(str, objects), "-o", str(target)])
    return target


def run(
    kernel: Path, *words: str, seconds: float = 240, **more: str
) -> subprocess.CompletedProcess[str]:
    """A module of the tests, with this kernel under the sanitizers (see `loaded`)."""
    return subprocess.run(
        command(kernel, *words), cwd=ROOT, env=environment() | more,
        capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip


def command(kernel: Path, *words: str) -> list[str]:
    """What runs a module with this kernel."""
    return [sys.executable, "-m", "tests.sanitized.loaded", str(kernel), *words]


def _do(words: Sequence[str]) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{words[0]} failed: {(ended.stdout + ended.stderr)[-2000:]}")
