"""Planted faults tried beside the other tests, which mostly wait: one at a time, then, when
nothing else is left to run, on every core.
"""

import os
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.faults import Fault
from tests.mutants.planting import assert_holds, assert_noticed, copied

CORES = os.cpu_count() or 1
_PARTS = 4
"""In how many runs the laws are tried without a fault."""


class Trials:
    """Begins when it is made; each fault is tried in a copy of the product of its own."""

    def __init__(self, laws: Sequence[str], faults: Sequence[Fault]) -> None:
        """`laws` are tried without a fault, where there are any."""
        self._folder = tempfile.TemporaryDirectory(prefix="mutants")
        self._copies: SimpleQueue[Path] = SimpleQueue()
        self._slots = threading.Semaphore(1)
        self._alone = False
        self._pool = ThreadPoolExecutor(CORES)
        for number in range(CORES):
            self._copies.put(Path(self._folder.name) / str(number))
        parts = [laws[n::_PARTS] for n in range(_PARTS)]
        self._whole = [self._pool.submit(self._hold, part) for part in parts if part]
        self._tried = {fault: self._pool.submit(self._plant, fault) for fault in faults}

    def alone(self) -> None:
        """No other tests are left: every core is ours."""
        if not self._alone:
            self._alone = True
            self._slots.release(CORES)

    def without_a_fault(self) -> list[Future[None]]:
        """The runs of the laws as they are."""
        return self._whole

    def of(self, fault: Fault) -> Future[None]:
        """The run with that fault."""
        return self._tried[fault]

    def close(self) -> None:
        """Begin nothing more, and leave nothing behind."""
        self._pool.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def _hold(self, laws: Sequence[str]) -> None:
        with self._slots:
            folder = self._copies.get()
            try:
                assert_holds(self._made(folder), laws)
            finally:
                self._copies.put(folder)

    def _plant(self, fault: Fault) -> None:
        with self._slots:
            folder = self._copies.get()
            try:
                assert_noticed(self._made(folder), fault)
            finally:
                self._copies.put(folder)

    def _made(self, folder: Path) -> Path:
        if not folder.exists():
            folder.mkdir()
            copied(folder)
        return folder
