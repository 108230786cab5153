"""What a run of the relay did, in counts."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Records read, values and tombstones written, records set aside by reason, commits;
    `more`: there is more to do, although nothing was committed."""

    read: int = 0
    written: int = 0
    tombstones: int = 0
    quarantined: int = 0
    commits: int = 0
    more: bool = False
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def worked(self) -> bool:
        """Whether anything was done: else all is up to date."""
        return self.more or self.commits > 0

    def add(self, other: "Progress") -> None:
        """Add another run's counts."""
        self.read += other.read
        self.written += other.written
        self.tombstones += other.tombstones
        self.quarantined += other.quarantined
        self.commits += other.commits
        self.more = other.more
        self.reasons.update(other.reasons)
