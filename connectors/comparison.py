"""What a whole pass shows: keys that are gone, and wrong rows that are wrong no more.

Law: only keys of this source (of this file) that were not met are deleted. More than 5 %
of the source's keys and at least 20 are not deleted unasked.
"""

from dataclasses import dataclass

from broker.log.interface import Batch, Log
from broker.model import Dataset
from broker.quarantine import Quarantine
from broker.seal import Sealer
from connectors.collected import Met
from connectors.ownership import Owned, Ownership

MOST_SHARE = 0.05
MOST_KEYS = 20


@dataclass(frozen=True, slots=True)
class Missing:
    """Keys that were not met, of how many that the source owns."""

    keys: list[tuple[bytes, Owned]]
    owned: int

    @property
    def too_many(self) -> bool:
        """Whether somebody must be asked first."""
        return len(self.keys) >= MOST_KEYS and len(self.keys) > MOST_SHARE * self.owned


class Comparison:
    """Compares one source with what was collected from it."""

    def __init__(self, dataset: Dataset, source: str, log: Log, sealer: Sealer) -> None:
        self._source = source
        self._log = log
        self._ownership = Ownership(dataset, log)
        self._quarantine = Quarantine(dataset, sealer)

    def missing(self, met: set[bytes], origin: bytes) -> Missing:
        """The keys of the source that were not met; where `origin` is given, of that file."""
        owned, keys = 0, list[tuple[bytes, Owned]]()
        for key, one in self._ownership.all_of(self._source):
            owned += 1
            if key not in met and origin in (b"", one.origin):
                keys.append((key, one))
        return Missing(keys, owned)

    def settle(self, met: Met, origin: bytes) -> Batch:
        """Take out of quarantine what is no longer there, or wrong no more."""
        batch = Batch()
        for _, stored, entry in self._quarantine.waiting(self._log):
            back = entry.back
            is_ours = entry.source == self._source and back.mark
            if is_ours and back.mark not in met.wrong and origin in (b"", back.origin):
                self._quarantine.take_out(stored.key, entry, batch)
        return batch
