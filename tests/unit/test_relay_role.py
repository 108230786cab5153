"""The relay as a role: what has grown is looked at, nothing else is, nothing is passed over."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, End, PositionWrite
from broker.relay.position import year_position
from broker.relay.progress import Progress
from broker.relay.role import RelayRole
from broker.telemetry import Event, ProjectionChosen
from tests import city
from tests.city import until

TOPIC = "collected.x.y"
DATASET = SimpleNamespace(id="x.y", collected_topic=TOPIC, partitions=3)


class Writing(EmbeddedLog):
    """A log that somebody may be writing to; what is written then is not told."""

    growing = False

    def ends(self, places: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], End]:
        return {one: End(end.offset, self.growing) for one, end in super().ends(places).items()}


class Relaying:
    """Notes the partitions that are looked at; `meanwhile` happens once, after a look."""

    def __init__(self) -> None:
        self.looked: list[int] = []
        self.meanwhile: Any = None

    def begin_round(self, owned: Iterable[tuple[str, int]]) -> None:
        self.owned = set(owned)

    def round(
        self, dataset: Any, ends: Mapping[int, int], year: int, shares: Any
    ) -> Iterator[tuple[int, Progress]]:
        for partition in ends:
            self.looked.append(partition)
            happens, self.meanwhile = self.meanwhile, None
            if happens:
                happens()
            yield partition, Progress()


class Roled:
    """The role over a log, and what it depends on besides."""

    def __init__(self, folder: Path) -> None:
        self.log = Writing(folder / "log.db")
        self.log.create_topics({TOPIC: 3})
        self.relay = Relaying()
        self.revision = 1
        self.shares: list[Any] = []
        self.emitted: list[Event] = []
        self.role = RelayRole(
            cast(Any, self.relay),
            self.log,
            [cast(Any, DATASET)],
            lambda dataset: self.shares,
            lambda: (self.revision, date(2026, 1, 1)),
            None,
            self.emitted.append,
        )

    def append(self, partition: int) -> None:
        self.log.commit(Batch([Append(TOPIC, partition, b"k", b"v")]))

    def looks_at(self, *partitions: int) -> None:
        """It comes to these, and to nothing else."""
        until(lambda: len(self.relay.looked) >= len(partitions), 5)
        threading.Event().wait(0.2)
        assert sorted(self.relay.looked) == sorted(partitions)
        self.relay.looked.clear()


@pytest.fixture
def roled(tmp_path: Path) -> Iterator[Roled]:
    found = Roled(tmp_path)
    yield found
    found.log.close()


def untold(roled: Roled) -> None:
    """From here on nobody is told of a commit."""
    watch = roled.log._watch
    state = watch._look()
    watch._look = lambda: state
    watch.changed = lambda: None  # type: ignore[method-assign]


def test_it_begins_by_saying_which_projection_runs(roled: Roled) -> None:
    with city.running(roled.role):
        roled.looks_at(0, 1, 2)
        roled.append(1)
        roled.looks_at(1)
    assert [type(one) for one in roled.emitted] == [ProjectionChosen]


def test_only_a_partition_that_has_grown_is_looked_at(roled: Roled) -> None:
    with city.running(roled.role):
        roled.looks_at(0, 1, 2)
        roled.append(1)
        roled.looks_at(1)
        roled.log.commit(Batch(positions=[PositionWrite("of.somebody", None, b"1")]))
        roled.looks_at()


def test_what_comes_during_a_look_is_looked_at_next(roled: Roled) -> None:
    roled.relay.meanwhile = lambda: roled.append(0)
    with city.running(roled.role):
        roled.looks_at(0, 0, 1, 2)


def test_another_state_of_sharing_or_another_year_is_a_look_at_everything(roled: Roled) -> None:
    with city.running(roled.role):
        roled.looks_at(0, 1, 2)
        roled.revision = 2
        roled.looks_at(0, 1, 2)
        year = PositionWrite(year_position("x.y"), None, b"\x07\xeb")
        roled.log.commit(Batch(positions=[year]))
        roled.looks_at(0, 1, 2)


def test_who_writes_is_waited_for_although_nobody_tells(roled: Roled) -> None:
    """A record may be readable only after everybody was told of its commit."""
    roled.log.growing = True
    with city.running(roled.role):
        roled.looks_at(0, 1, 2)
        untold(roled)
        roled.append(2)
        roled.looks_at(2)


def test_a_share_whose_topic_is_still_to_be_made_is_waited_for(roled: Roled) -> None:
    roled.shares = [SimpleNamespace(dataset="x.y", topic="shared.x.y.s1")]
    with city.running(roled.role):
        roled.looks_at(0, 1, 2)
        untold(roled)
        roled.log.create_topics({"shared.x.y.s1": 3})
        roled.looks_at(0, 1, 2)
