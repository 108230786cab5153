"""A kernel from elsewhere in the place of the installation's own; then pytest, or another module.

Law: behind the last byte of a body that it is given nothing may be read. CPython ends every bytes
object with a zero of its own, which would hide one byte too many: under AddressSanitizer that zero
is put out of bounds too.

    python -m tests.sanitized.loaded KERNEL MODULE [ARGUMENT ...]
"""

import ctypes
import importlib.util
import runpy
import sys
from pathlib import Path
from typing import Any

import broker.projection

NAME = "broker.projection.kernel"
BYTES = bytes.__basicsize__ - 1
"""Where the bytes of a bytes object begin."""


def load(path: Path) -> Any:
    """Load the kernel in this file as the product's; where it is watched, to the last byte."""
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    broker.projection.kernel = module  # type: ignore[attr-defined]
    poison = getattr(ctypes.CDLL(None), "__asan_poison_memory_region", None)
    if poison is not None:
        poison.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        module.Kernel = _watched(module.Kernel, poison)
    return module


def _watched(kernel: Any, poison: Any) -> Any:
    class Watched(kernel):  # type: ignore[misc]
        """The kernel, given copies that end where they end."""

        def damaged(self, body: Any) -> Any:
            return super().damaged(_ending(body, poison))

        def project(self, body: Any, choices: Any) -> Any:
            return super().project(_ending(body, poison), choices)

        def land(self, keys: Any, bodies: Any, *more: Any) -> Any:
            bodies[:] = [_ending(one, poison) for one in bodies]
            return super().land(keys, bodies, *more)

    return Watched


_new = ctypes.pythonapi.PyBytes_FromStringAndSize
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_char_p, ctypes.c_ssize_t]


def _ending(body: Any, poison: Any) -> Any:
    """The same bytes in memory of their own, of which nothing behind the last may be read."""
    if type(body) is not bytes:
        return body
    # the shortest are shared in all of Python: made longer, and then cut to their length
    made = _new(None, max(len(body), 2))
    at = id(made) + BYTES
    ctypes.memmove(at, body, len(body))
    if len(body) < 2:
        ctypes.c_ssize_t.from_address(id(made) + 2 * ctypes.sizeof(ctypes.c_ssize_t)).value = len(
            body
        )
    poison(at + len(body), max(len(body), 2) + 1 - len(body))
    return made


if __name__ == "__main__":
    load(Path(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
