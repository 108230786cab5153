"""Which shares hold a collected key: a table in the log, written in the relay's own commit.

Law: never guessed, never rebuilt from the collected topic (an earlier version may be
compacted away there). Sets of shares are interned, because few distinct ones exist;
an entry is written only when it changes, and removed when no share holds the key.
"""

from collections.abc import Iterable

from broker.log.interface import Log, TableWrite
from broker.log.topics import membership_table, share_sets_table

Shares = frozenset[str]
NOBODY: Shares = frozenset()


class Membership:
    """The membership of one partition of one dataset, as committed plus one open batch."""

    def __init__(self, log: Log, dataset: str, partition: int) -> None:
        self._log = log
        self._table = membership_table(dataset)
        self._sets_table = share_sets_table(dataset)
        self._partition = partition
        self._by_id: dict[bytes, Shares] = {}
        self._ids: dict[Shares, bytes] = {}
        self._load_sets()

    def _load_sets(self) -> None:
        after = b""
        while page := self._log.scan(self._sets_table, self._partition, after, 1000):
            for set_id, names in page:
                shares = frozenset(names.decode().split(","))
                self._by_id[set_id] = shares
                self._ids[shares] = set_id
            after = page[-1][0]

    def held(self, keys: Iterable[bytes]) -> dict[bytes, Shares]:
        """For those keys that some share holds: the shares that hold them."""
        entries = self._log.entries(self._table, self._partition, keys)
        return {key: self._by_id[set_id] for key, set_id in entries.items()}

    def changes(
        self, before: dict[bytes, Shares], after: dict[bytes, Shares]
    ) -> tuple[list[TableWrite], dict[bytes, Shares]]:
        """The writes that turn `before` into `after`, and the sets they intern.

        Pass the interned sets to `committed` once the batch has landed.
        """
        writes: list[TableWrite] = []
        fresh: dict[Shares, bytes] = {}
        for key, shares in after.items():
            if shares == before.get(key, NOBODY):
                continue
            if not shares:
                writes.append(TableWrite(self._table, self._partition, key, None))
                continue
            set_id = self._ids.get(shares) or fresh.get(shares)
            if set_id is None:
                set_id = (len(self._ids) + len(fresh) + 1).to_bytes(4, "big")
                fresh[shares] = set_id
                names = ",".join(sorted(shares)).encode()
                writes.append(TableWrite(self._sets_table, self._partition, set_id, names))
            writes.append(TableWrite(self._table, self._partition, key, set_id))
        return writes, {set_id: shares for shares, set_id in fresh.items()}

    def committed(self, interned: dict[bytes, Shares]) -> None:
        """Take over the sets that the landed batch interned."""
        for set_id, shares in interned.items():
            self._by_id[set_id] = shares
            self._ids[shares] = set_id
