"""What a run of the relay did, in counts."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Records read, values and tombstones written, records set aside by reason, commits."""

    read: int = 0
    written: int = 0
    tombstones: int = 0
    quarantined: int = 0
    commits: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Progress") -> None:
        """Add another run's counts."""
        self.read += other.read
        self.written += other.written
        self.tombstones += other.tombstones
        self.quarantined += other.quarantined
        self.commits += other.commits
        self.reasons.update(other.reasons)
