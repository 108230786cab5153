"""What became of rows: the batch to commit, the counts, the wrong ones, what was met."""

from collections import Counter
from dataclasses import dataclass, field

from broker.log.interface import Batch
from connectors.source import Fault, Row


@dataclass(slots=True)
class Counts:
    """What became of the rows read. `outdated`: the log has a later version of the key;
    `superseded`: an earlier row of the same key gave way; `waiting`: wrong as before, and
    in quarantine already."""

    rows: int = 0
    appended: int = 0
    deleted: int = 0
    unchanged: int = 0
    outdated: int = 0
    duplicates: int = 0
    superseded: int = 0
    quarantined: int = 0
    waiting: int = 0
    stale: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def news(self) -> int:
        """How many rows were not known before."""
        return self.appended + self.deleted + self.quarantined

    def add(self, other: "Counts") -> None:
        """Add another batch's counts."""
        for name in (
            "rows", "appended", "deleted", "unchanged", "outdated", "duplicates",
            "superseded", "quarantined", "waiting", "stale",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)


@dataclass(slots=True)
class Collected:
    """A batch to commit (without the position), what became of the rows, and the wrong ones.

    `overtaken`: how many good rows another stands before. `marks`: what a wrong row is known by
    in quarantine, by its `id()`.
    """

    batch: Batch = field(default_factory=Batch)
    counts: Counts = field(default_factory=Counts)
    wrong: list[tuple[Row, Fault]] = field(default_factory=list)
    overtaken: int = 0
    marks: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Met:
    """What a whole pass has met: the keys, and the marks of the wrong rows."""

    keys: set[bytes] = field(default_factory=set)
    wrong: set[bytes] = field(default_factory=set)
