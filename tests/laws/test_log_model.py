"""The embedded log against a model made of lists and dictionaries (hypothesis machine).

Restarting the log at any point, and batches that must be refused, are among the steps.
"""

import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from broker.errors import PositionMoved, UnknownTopic
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, Entries, PositionWrite, Run, TableWrite

FLOOR = 20
PARTITIONS = 2
seen: Counter[str] = Counter()
names = st.sampled_from(["a", "b"])
partitions = st.integers(0, PARTITIONS - 1)
keys = st.sampled_from([b"k1", b"k2", b"k3", b""])
values = st.one_of(st.none(), st.binary(max_size=4))


def _batch(appends: list[Any], tables: list[Any], records: int, writes: int) -> Batch:
    """So many of them single, the rest together; the records in the order that comes of it."""
    batch = Batch()
    batch.appends = [Append(*one) for one in appends[:records]]
    batch.tables = [TableWrite(*one) for one in tables[:writes]]
    runs: dict[tuple[str, int], tuple[list[bytes], list[bytes | None]]] = {}
    for topic, partition, key, value in appends[records:]:
        one = runs.setdefault((topic, partition), ([], []))
        one[0].append(key)
        one[1].append(value)
    batch.runs = [Run(*place, *found) for place, found in runs.items()]
    entries: dict[tuple[str, int], dict[bytes, bytes | None]] = {}
    for table, partition, key, value in tables[writes:]:
        entries.setdefault((table, partition), {})[key] = value
    batch.entries = [Entries(*place, found) for place, found in entries.items()]
    return batch


class LogMachine(RuleBasedStateMachine):
    """Every step does the same to the log and to the model, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.log = EmbeddedLog(self.folder / "log.db")
        self.topics: dict[str, list[list[tuple[bytes, bytes | None]]]] = {}
        self.tables: dict[tuple[str, int], dict[bytes, bytes]] = defaultdict(dict)
        self.positions: dict[str, bytes] = {}
        for name in ("a", "b"):
            self.create_both(name)

    def create_both(self, name: str) -> None:
        self.log.create_topics({name: PARTITIONS})
        self.topics.setdefault(name, [[] for _ in range(PARTITIONS)])

    def teardown(self) -> None:
        self.log.close()
        shutil.rmtree(self.folder)

    @rule(name=names)
    def create(self, name: str) -> None:
        self.create_both(name)

    @rule(name=names)
    def delete(self, name: str) -> None:
        self.log.delete_topic(name)
        seen["topic deleted"] += self.topics.pop(name, None) is not None

    @rule()
    def restart(self) -> None:
        self.log.close()
        self.log = EmbeddedLog(self.folder / "log.db")
        seen["restart"] += 1

    @rule(
        appends=st.lists(st.tuples(names, partitions, keys, values), max_size=5),
        tables=st.lists(st.tuples(names, partitions, keys, values), max_size=4),
        move=st.none() | st.tuples(names, st.booleans(), st.binary(max_size=3)),
        single=st.tuples(st.integers(0, 5), st.integers(0, 4)),
    )
    def commit(self, appends, tables, move, single) -> None:  # type: ignore[no-untyped-def]
        batch = _batch(appends, tables, *single)
        seen["runs"] += bool(batch.runs and batch.appends)
        seen["an entry twice"] += bool(
            {one[:3] for one in tables[: single[1]]} & {one[:3] for one in tables[single[1] :]}
        )
        expected = None
        if move is not None:
            name, right, value = move
            expected = self.positions.get(name) if right else b"another writer's"
            batch.positions.append(PositionWrite(name, expected, value))
        if move is not None and expected != self.positions.get(move[0]):
            with pytest.raises(PositionMoved):
                self.log.commit(batch)
            seen["position moved"] += 1
            return
        if any(topic not in self.topics for topic, *_ in appends):
            with pytest.raises(UnknownTopic):
                self.log.commit(batch)
            seen["unknown topic"] += 1
            return
        self.log.commit(batch)
        for topic, partition, key, record in appends:
            self.topics[topic][partition].append((key, record))
            seen["tombstone"] += record is None
        for table, partition, key, entry in tables:
            if entry is None:
                self.tables[table, partition].pop(key, None)
            else:
                self.tables[table, partition][key] = entry
        if move is not None:
            self.positions[move[0]] = move[2]
        seen["several topics"] += len({topic for topic, *_ in appends}) > 1

    @invariant()
    def equal(self) -> None:
        assert dict(self.log.topics()) == dict.fromkeys(self.topics, PARTITIONS)
        for topic, parts in self.topics.items():
            for partition, records in enumerate(parts):
                read = self.log.read(topic, partition, 0, 1000)
                assert [(r.key, r.value) for r in read] == records
                assert [r.offset for r in read] == list(range(len(records)))
                page = self.log.page(topic, partition, 0, 1000)
                assert list(zip(*page, strict=True)) == [r[:3] for r in read]
                keys = [(offset, key) for offset, (key, _) in enumerate(records)]
                assert self.log.keys(topic, partition, 0, 1000) == keys
                assert self.log.end(topic, partition) == len(records)
        for (table, partition), entries in self.tables.items():
            assert self.log.entries(table, partition, [b"k1", b"k2", b"k3", b""]) == entries
        assert dict(self.log.positions("")) == self.positions


def test_the_log_is_its_model() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        LogMachine,
        settings=settings(
            max_examples=300, stateful_step_count=25, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    wanted = (
        "topic deleted", "restart", "position moved", "unknown topic", "tombstone",
        "several topics", "runs", "an entry twice",
    )  # fmt: skip
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"
