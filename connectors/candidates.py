"""Rows of one batch: which stands for its key, which were overtaken, which are unclear.

Law: of one row's versions the last counts, of one key's rows the latest. A deletion says
nothing of another row that has the same key. Where the latest differ, a deletion holds
against the others; without one, none of them is taken.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from connectors.source import Fault, Row

_TWO_KEYS = Fault("duplicate_row_id", "", "give every row an id of its own")
_TWO_ROWS = Fault("duplicate_key", "", "keep one row of this key, or date the change")
AMBIGUOUS = frozenset({_TWO_KEYS.reason, _TWO_ROWS.reason})
"""Reasons of rows that nothing is wrong with but that there are two."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that could be read. `updated_at` in ms; `hash` is None where it is a deletion;
    `id` stands for the source's unchanging row id, empty where it has none."""

    row: Row
    key: bytes
    updated_at: int
    body: bytes
    hash: bytes | None
    id: bytes


@dataclass(slots=True)
class Contest:
    """What came of a batch's rows. `passed`: clear, and not the one that stands for its key."""

    winners: list[Candidate] = field(default_factory=list)
    passed: list[Candidate] = field(default_factory=list)
    wrong: list[tuple[Row, Fault]] = field(default_factory=list)
    duplicates: int = 0


def contest(candidates: Iterable[Candidate]) -> Contest:
    """At most one winner a key."""
    found = Contest()
    by_key: dict[bytes, list[Candidate]] = defaultdict(list)
    for one in _last_of_each_row(candidates, found):
        by_key[one.key].append(one)
    for some in by_key.values():
        winner, unclear = _winner(_rivals(some))
        found.wrong += [(one.row, _TWO_ROWS) for one in unclear]
        told = {id(one) for one in (*unclear, winner)}
        passed = [one for one in some if id(one) not in told]
        found.passed += passed
        found.duplicates += len(passed)
        if winner is not None:
            found.winners.append(winner)
    return found


def _last_of_each_row(candidates: Iterable[Candidate], found: Contest) -> Iterator[Candidate]:
    """Of the versions of one row, the last; all rows that have no id."""
    by_id: dict[bytes, list[Candidate]] = defaultdict(list)
    for one in candidates:
        by_id[one.id].append(one)
    yield from by_id.pop(b"", [])
    for some in by_id.values():
        latest = max(one.updated_at for one in some)
        last = [one for one in some if one.updated_at == latest]
        found.duplicates += len(some) - len(last)
        if len({one.key for one in last}) == 1:
            yield from last
        else:
            found.wrong += [(one.row, _TWO_KEYS) for one in last]


def _rivals(some: list[Candidate]) -> list[Candidate]:
    """The rows of one key without the deletions of others than those that are there."""
    there = {one.id for one in some if one.hash is not None}
    return [one for one in some if one.hash or not there or not one.id or one.id in there]


def _winner(rivals: list[Candidate]) -> tuple[Candidate | None, list[Candidate]]:
    """The latest row, and the rows that are not clear."""
    latest = max(one.updated_at for one in rivals)
    last = [one for one in rivals if one.updated_at == latest]
    if len({one.hash for one in last}) == 1:
        return last[0], []
    gone = next((one for one in last if one.hash is None), None)
    if gone is None:
        return None, rivals
    return gone, [one for one in last if one.hash is not None]
