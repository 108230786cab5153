"""Sources that are not read: paused by somebody, or stopped until somebody has looked.

Law: what holds a source stands until it is lifted, whatever restarts.
"""

from broker.errors import SourceError
from broker.log.interface import Batch, Log, PositionWrite
from broker.log.topics import held_position

PAUSED = "paused"


class Held:
    """What holds the sources of one dataset."""

    def __init__(self, dataset: str, log: Log) -> None:
        self._dataset = dataset
        self._log = log

    def why(self, source: str) -> str:
        """Why a source is not read; empty where it is."""
        return (self._log.position(self._name(source)) or b"").decode()

    def hold(self, source: str, why: str) -> None:
        """Read the source no more."""
        self._set(source, why.encode())

    def lift(self, source: str) -> None:
        """Read the source again; nothing where it is not held."""
        self._set(source, None)

    def lifting(self, source: str) -> list[PositionWrite]:
        """What lifts it in a commit of the caller's."""
        name = self._name(source)
        before = self._log.position(name)
        return [PositionWrite(name, before, None)] if before else []

    def _set(self, source: str, value: bytes | None) -> None:
        name = self._name(source)
        before = self._log.position(name)
        if before != value:
            self._log.commit(Batch(positions=[PositionWrite(name, before, value)]))

    def _name(self, source: str) -> str:
        return held_position(self._dataset, source)


def asks(dataset: str, source: str, missing: str, owned: str) -> SourceError:
    """Too much is gone to be deleted unasked."""
    return SourceError(
        f"{missing} of {owned} keys are no longer there: more than 5 %, so none is deleted",
        where=source,
        mend=f"are they really gone? `shuqiao connect run {dataset} --allow-deletes {source}`; "
        f"else mend the source, then `shuqiao connect resume {dataset} {source}`",
    )
