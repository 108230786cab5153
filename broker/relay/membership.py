"""Which shares hold a collected key: a table in the log, written in the relay's own commit.

Law: never guessed, never rebuilt from the collected topic (an earlier version may be
compacted away there). Sets of shares are interned, because few distinct ones exist;
an entry is written only when it changes, and removed when no share holds the key. What is kept
in memory is all of a partition or nothing, and as committed: nobody else writes there between
two commits of ours.
"""

from collections.abc import Collection, Iterable, Mapping

from broker.errors import LogError, PositionMoved
from broker.log.interface import Entries, Log
from broker.log.topics import membership_table, share_sets_table

Shares = frozenset[str]
NOBODY: Shares = frozenset()

_PAGE = 50_000
_FEW = 2_000
_ASKED = 20_000
"""Keys that are looked up before the whole partition is read into memory."""


class Room:
    """For how many more keys there is room in the memory of this process."""

    def __init__(self, keys: int = 1_200_000) -> None:
        self.keys = keys


class Membership:
    """The membership of one partition of one dataset, as committed."""

    def __init__(self, log: Log, dataset: str, partition: int, room: Room) -> None:
        self._log = log
        self._table = membership_table(dataset)
        self._sets_table = share_sets_table(dataset)
        self._partition = partition
        self._room = room
        self._by_id: dict[bytes, Shares] = {}
        self._ids: dict[Shares, bytes] = {}
        self._fresh: dict[Shares, bytes] = {}
        self._known: dict[bytes, Shares] | None = None
        self._asked = 0

    def begin(self) -> None:
        """Start from what is committed now."""
        self.forget()
        self._by_id, self._ids, self._fresh, self._asked = {}, {}, {}, 0
        after = b""
        while page := self._log.scan(self._sets_table, self._partition, after, 1000):
            for set_id, names in page:
                self._intern(frozenset(names.decode().split(",")), set_id)
            after = page[-1][0]

    def _intern(self, shares: Shares, set_id: bytes) -> None:
        self._by_id[set_id] = shares
        self._ids[shares] = set_id

    def held(self, keys: Collection[bytes]) -> dict[bytes, Shares]:
        """At least for those keys that some share holds: the shares that hold them. To be read,
        not to be changed."""
        if self._known is None:
            if self._asked == 0:
                self._begin_small()
            self._asked += len(keys)
            if self._known is None and self._asked > _ASKED:
                self._load()
        if self._known is not None:
            return self._known
        entries = self._log.entries(self._table, self._partition, keys)
        return self._shares(entries.items())

    def _begin_small(self) -> None:
        """Of a partition with few keys, or none yet, all is known at once: what is added to it
        need never be read back."""
        page = self._log.scan(self._table, self._partition, b"", _FEW)
        if len(page) < min(_FEW, self._room.keys):
            self._room.keys -= len(page)
            self._known = self._shares(page)

    def _load(self) -> None:
        """Read the partition into memory, where there is room for it."""
        known, after = dict[bytes, Shares](), b""
        while page := self._log.scan(self._table, self._partition, after, _PAGE):
            if len(known) + len(page) > self._room.keys:
                self._asked = -max(_PAGE, len(known))  # not soon again
                return
            known.update(self._shares(page))
            after = page[-1][0]
        self._room.keys -= len(known)
        self._known = known

    def _shares(self, entries: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Shares]:
        """By key. `PositionMoved` where somebody else has written a set since `begin`."""
        by_id = self._by_id
        try:
            return {key: by_id[set_id] for key, set_id in entries}
        except KeyError as missing:
            since = self._log.entries(self._sets_table, self._partition, missing.args)
        where = f"{self._sets_table}/{self._partition}"
        if since:
            raise PositionMoved("another relay was here", where=where, mend="begin from there")
        raise LogError(
            "who holds a record is not known: its set of shares is missing",
            where=where,
            mend="the log is damaged: restore it from a backup",
        )

    def changes(self, moved: Mapping[bytes, Shares]) -> list[Entries]:
        """The writes by which these keys are held by these. `committed` once they have landed."""
        self._fresh = {}
        ids = self._ids
        for shares in set(moved.values()):
            if shares and shares not in ids:
                self._fresh[shares] = (len(ids) + len(self._fresh) + 1).to_bytes(4, "big")
        found: dict[Shares, bytes | None] = {**ids, **self._fresh, NOBODY: None}
        entries = []
        if self._fresh:
            names = {i: ",".join(sorted(shares)).encode() for shares, i in self._fresh.items()}
            entries.append(Entries(self._sets_table, self._partition, names))
        if moved:
            values = {key: found[shares] for key, shares in moved.items()}
            entries.append(Entries(self._table, self._partition, values))
        return entries

    def committed(self, moved: Mapping[bytes, Shares]) -> None:
        """Take over what has landed."""
        for shares, set_id in self._fresh.items():
            self._intern(shares, set_id)
        self._fresh = {}
        known = self._known
        if known is None:
            return
        before = len(known)
        for key, shares in moved.items():
            if shares:
                known[key] = shares
            else:
                known.pop(key, None)
        self._room.keys += before - len(known)
        if self._room.keys < 0:
            self.forget()

    def forget(self) -> None:
        """Give the memory back."""
        known, self._known = self._known, None
        if known is not None:
            self._room.keys += len(known)
            self._asked = -len(known)  # not soon again
