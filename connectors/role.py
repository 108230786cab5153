"""The connectors as a role: every dataset's sources are read again and again.

Law: of several processes, on one machine or many, one reads a dataset; the others stand by. A
source that cannot go on is told and tried again at the next turn; an unforeseen error of one
dataset stops no other.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from broker.errors import ShuQiaoError
from broker.telemetry import Event, RoleFailed
from connectors.runner import Runner

Tell = Callable[[str], None]


class Claim(Protocol):
    """That a dataset is ours to read."""

    def taken(self) -> bool:
        """Whether it is; taken where nobody has it."""

    def release(self) -> None:
        """It is anybody's."""


class ConnectRole:
    """Reads every dataset that has mappings. `runners` is asked each turn, so that a mapping
    that was added or mended counts; `tell` hears what stopped a source."""

    name = "connect"

    def __init__(
        self,
        runners: Callable[[], Sequence[tuple[str, Callable[[], Runner]]]],
        claim: Callable[[str], Claim],
        tell: Tell,
        emit: Callable[[Event], None],
        *,
        limit: int,
        pause: float,
    ) -> None:
        self._runners = runners
        self._claim = claim
        self._claims: dict[str, Claim] = {}
        self._made: dict[str, tuple[object, Runner]] = {}
        self._tell = tell
        self._emit = emit
        self._limit = limit
        self._pause = pause

    def run(self, stop: threading.Event) -> None:
        """See `Role`."""
        while not stop.is_set():
            for dataset, make in self._runners():
                if stop.is_set():
                    return
                self._turn(dataset, make, stop)
            stop.wait(self._pause)

    def close(self) -> None:
        """See `Role`."""
        for claim in self._claims.values():
            claim.release()

    def _turn(self, dataset: str, make: Callable[[], Runner], stop: threading.Event) -> None:
        """One turn of a dataset, where no other process reads it."""
        try:
            if dataset not in self._claims:
                self._claims[dataset] = self._claim(f"connect.{dataset}")
            if self._claims[dataset].taken():
                self._read(dataset, make, stop)
        except Exception as error:  # noqa: BLE001  its text may hold data: only its kind is told
            kind = type(error).__name__
            self._emit(RoleFailed(role=self.name, error=kind))
            self._tell(f"{dataset}: an unforeseen {kind}; tried again at the next turn")

    def _read(self, dataset: str, make: Callable[[], Runner], stop: threading.Event) -> None:
        """One turn of a dataset; its runner is kept as long as its mappings are."""
        known = self._made.get(dataset)
        try:
            if known is None or known[0] is not make:
                known = self._made[dataset] = make, make()
            reports = known[1].run(self._limit, stopped=stop.is_set)
        except ShuQiaoError as error:
            self._tell(str(error))
            return
        for report in reports:
            if report.error:
                self._tell(str(report.error))
