"""From one file to another, as from a file to a cluster: what is committed with what."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.errors import LogError, SettingsError
from broker.log import topics
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch, Log, PositionWrite, TableWrite
from broker.migration import (
    DONE,
    NOT_CARRIED,
    ORIGIN,
    TABLES,
    Migration,
    must_be_carried_over,
)
from broker.seal import Sealer
from tests import city

DATASET = "ga.resident_base"
TOPIC = f"collected.{DATASET}"
OWNERS = f"owners.{DATASET}"
RECORDS = 12


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    with city.city(tmp_path / "city") as broker:
        return broker.sealer


@pytest.fixture
def source(tmp_path: Path) -> EmbeddedLog:
    """A log in which something was collected, and relayed."""
    log = EmbeddedLog(tmp_path / "a.db")
    log.create_topics({TOPIC: 4, f"quarantine.{DATASET}": 4, f"shared.{DATASET}.sx": 4})
    for number in range(RECORDS):
        key = b"%02d" % number
        log.commit(
            Batch(
                [Append(TOPIC, number % 4, key, key if number % 5 else None)],
                [TableWrite(OWNERS, number % 4, key, b"o" + key)],
                [moved(log, "source.x", b"%d" % number), moved(log, "relay.x", key)],
            )
        )
    log.commit(Batch(positions=[PositionWrite("held.x", None, b"paused")]))
    return log


@pytest.fixture
def target(tmp_path: Path) -> EmbeddedLog:
    return EmbeddedLog(tmp_path / "b.db")


def moved(log: Log, name: str, value: bytes | None) -> PositionWrite:
    return PositionWrite(name, log.position(name), value)


def migration(source: Log, target: Log, sealer: Sealer | None = None) -> Migration:
    """Not begun; `sealer` is only needed to finish."""
    with city.city(Path("nowhere")) as broker:
        datasets = [broker.catalog.dataset(DATASET)]
    return Migration(source, target, datasets, lambda: sealer)  # type: ignore[arg-type,return-value]


def migrated(source: Log, target: Log, sealer: Sealer) -> Migration:
    """Carried over to the end."""
    one = migration(source, target, sealer)
    one.begin()
    one.copy()
    assert different(one) == set()
    one.finish()
    return one


def different(one: Migration) -> set[str]:
    return {found.name for found in one.compare() if not found.equal}


def test_what_is_carried_over_and_what_is_not(
    source: EmbeddedLog, target: EmbeddedLog, sealer: Sealer
) -> None:
    assert migrated(source, target, sealer).done
    for partition in range(4):
        before, after = (log.read(TOPIC, partition, 0, 99) for log in (source, target))
        assert [one[:3] for one in after] == [one[:3] for one in before], "as it stands, in order"
    assert target.position("source.x") == b"11" and target.position("held.x") == b"paused"
    assert target.position("relay.x") is None
    assert f"shared.{DATASET}.sx" not in target.topics()


class BrokenOff(Exception):
    """The migration's process ends here."""


def breaking(log: EmbeddedLog, step: int) -> Callable[[Batch], None]:
    """The log's commit, which ends at that step."""
    commit, left = log.commit, [step]

    def breaks(batch: Batch) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise BrokenOff
        commit(batch)

    return breaks


@pytest.mark.parametrize("step", range(1, 12))
def test_broken_off_at_any_step_it_goes_on_where_it_was(
    source: EmbeddedLog,
    target: EmbeddedLog,
    sealer: Sealer,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch, pytest.raises(BrokenOff):
        patch.setattr(target, "commit", breaking(target, step))
        migrated(source, target, sealer)
    assert not migration(source, target).done
    assert migrated(source, target, sealer).done
    ends = [target.end(TOPIC, number) for number in range(4)]
    assert ends == [3, 3, 3, 3], "nothing twice"


@pytest.mark.parametrize("step", range(2, 12))
def test_a_source_that_went_on_meanwhile_is_carried_over_as_it_is(
    source: EmbeddedLog,
    target: EmbeddedLog,
    sealer: Sealer,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken off, the work went on with the file, and then it was begun once more."""
    with monkeypatch.context() as patch, pytest.raises(BrokenOff):
        patch.setattr(target, "commit", breaking(target, step))
        migrated(source, target, sealer)
    source.commit(
        Batch(
            [Append(TOPIC, 1, b"01", b"later"), Append(TOPIC, 2, b"02", None)],
            [TableWrite(OWNERS, 1, b"01", b"other"), TableWrite(OWNERS, 2, b"02", None)],
            [moved(source, "source.x", b"12"), moved(source, "held.x", None)],
        )
    )
    source.compact(TOPIC, 1, None, 0)
    assert migrated(source, target, sealer).done
    assert target.position("held.x") is None and target.position("source.x") == b"12"
    assert target.entries(OWNERS, 1, [b"01"]) == {b"01": b"other"}
    assert target.entries(OWNERS, 2, [b"02"]) == {}


def test_once_it_is_done_what_came_later_is_right(
    source: EmbeddedLog, target: EmbeddedLog, sealer: Sealer
) -> None:
    one = migrated(source, target, sealer)
    target.commit(
        Batch(
            [Append(TOPIC, 1, b"01", b"later"), Append(TOPIC, 2, b"02", None)],
            [TableWrite(OWNERS, 1, b"01", b"other")],
            [moved(target, "source.x", b"99")],
        )
    )
    for partition in range(4):
        target.compact(TOPIC, partition, None, 0)
    assert different(one) == set()
    target.commit(Batch(positions=[PositionWrite("source.y", None, b"1")]))
    assert one.done and different(one) == set()


@pytest.mark.parametrize("instead", [None, b"wrong"])
def test_what_is_lacking_or_was_never_right_is_no_later_version(
    source: EmbeddedLog,
    target: EmbeddedLog,
    sealer: Sealer,
    tmp_path: Path,
    instead: bytes | None,
) -> None:
    migrated(source, target, sealer)
    other = EmbeddedLog(tmp_path / "other.db")
    other.create_topics({TOPIC: 4, f"quarantine.{DATASET}": 4})
    for partition in range(4):
        for one in target.read(TOPIC, partition, 0, 99):
            value = instead if one.key == b"04" else one.value
            if value or one.key != b"04":
                other.commit(Batch([Append(TOPIC, partition, one.key, value)]))
    other.commit(Batch(positions=[PositionWrite(DONE, None, target.position(DONE))]))
    assert different(migration(source, other)) == {TOPIC}


@pytest.mark.parametrize("name", ["collected.ga.other", "shared.ga.other.sx", "quarantine.ga.x"])
def test_a_target_that_is_in_use_is_refused(
    source: EmbeddedLog, target: EmbeddedLog, name: str
) -> None:
    target.create_topics({name: 1})
    with pytest.raises(LogError, match="another origin"):
        migration(source, target).begin()
    assert target.position(ORIGIN) is None


def test_a_target_of_another_migration_is_refused(
    source: EmbeddedLog, target: EmbeddedLog, tmp_path: Path
) -> None:
    migration(EmbeddedLog(tmp_path / "c.db"), target).begin()
    with pytest.raises(LogError, match="another origin"):
        migration(source, target).begin()


def test_topics_of_others_on_the_cluster_do_not_matter(
    source: EmbeddedLog, target: EmbeddedLog, sealer: Sealer
) -> None:
    target.create_topics({"orders": 1})
    target.commit(Batch([Append("orders", 0, b"k", b"v")]))
    assert migrated(source, target, sealer).done


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (Batch([Append(TOPIC, 0, b"04", b"x")]), TOPIC),
        (Batch([Append(TOPIC, 0, b"04", None)]), TOPIC),
        (Batch([Append(TOPIC, 0, b"more", b"x")]), TOPIC),
        (Batch([Append(TOPIC, 0, b"00", b"x")]), TOPIC),
        (Batch([], [TableWrite(OWNERS, 0, b"04", b"x")]), f"{OWNERS}/0"),
        (Batch([], [TableWrite(OWNERS, 0, b"04", None)]), f"{OWNERS}/0"),
        (Batch([], [TableWrite(OWNERS, 0, b"more", b"x")]), f"{OWNERS}/0"),
        (Batch([], [], [PositionWrite("source.x", b"11", b"x")]), "positions"),
        (Batch([], [], [PositionWrite("source.x", b"11", None)]), "positions"),
        (Batch([], [], [PositionWrite("source.more", None, b"x")]), "positions"),
    ],
)
def test_what_differs_is_found(
    source: EmbeddedLog, target: EmbeddedLog, change: Batch, name: str
) -> None:
    one = migration(source, target)
    one.begin()
    one.copy()
    assert different(one) == set()
    target.commit(change)
    assert different(one) == {name}


def test_how_far_it_is_comes_to_the_whole_wherever_it_was_broken_off(
    source: EmbeddedLog, target: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(BrokenOff):
        patch.setattr(target, "commit", breaking(target, 4))
        one = migration(source, target)
        one.begin()
        one.copy()
    for step in ("copy", "compare"):
        one, passed = migration(source, target), [0]
        one.watched(lambda offsets, passed=passed: passed.append(offsets))  # type: ignore[misc]
        one.begin()
        list(one.compare()) if step == "compare" else one.copy()  # type: ignore[func-returns-value]
        assert sum(passed) == one.total() == RECORDS


def test_large_records_are_copied_few_at_a_time(
    target: EmbeddedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sizes, commit = EmbeddedLog(tmp_path / "large.db"), list[int](), target.commit
    source.create_topics({TOPIC: 1})
    large = [Append(TOPIC, 0, b"%d" % number, bytes(900_000)) for number in range(20)]
    source.commit(Batch(large))

    def weighed(batch: Batch) -> None:
        sizes.append(sum(len(one.value or b"") for one in batch.appends))
        commit(batch)

    monkeypatch.setattr(target, "commit", weighed)
    one = migration(source, target)
    one.begin()
    one.copy()
    assert max(sizes) <= 8_000_000 and different(one) == set()


def test_every_table_is_carried_over_or_arises_anew() -> None:
    """Whoever adds a table or a kind of position decides which."""
    tables = {
        found
        for name, found in inspect.getmembers(topics, inspect.isfunction)
        if name.endswith("_table")
    }
    assert tables == {*TABLES, topics.membership_table, topics.share_sets_table}
    for name in ("source.x", "held.x", "year.x", "domain.x", topics.USERS, topics.EMERGENCIES):
        assert not name.startswith(NOT_CARRIED)


def test_nobody_begins_on_a_cluster_without_what_belongs_there(
    source: EmbeddedLog, target: EmbeddedLog, sealer: Sealer, tmp_path: Path
) -> None:
    own, nothing, other = (tmp_path / name for name in ("a.db", "none.db", "other.db"))
    must_be_carried_over(target, nothing)
    with pytest.raises(SettingsError, match="not carried over"):
        must_be_carried_over(target, own)
    one = migration(source, target, sealer)
    one.begin()
    one.copy()
    for path in (own, nothing):
        with pytest.raises(SettingsError, match="not finished"):
            must_be_carried_over(target, path)
    one.finish()
    for path in (own, nothing):
        must_be_carried_over(target, path)
    empty = EmbeddedLog(other)
    must_be_carried_over(target, other)
    empty.create_topics({TOPIC: 1})
    must_be_carried_over(target, other)
    empty.commit(Batch([Append(TOPIC, 0, b"k", b"v")]))
    with pytest.raises(SettingsError, match="not carried over"):
        must_be_carried_over(target, other)
