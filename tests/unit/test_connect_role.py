"""The connectors as a role: one dataset's trouble is its own, and what has not changed is not
read again; what a role says went wrong."""

from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker import sources as sources_module
from broker.cli import up
from broker.telemetry import RoleFailed
from connectors import drops
from connectors.role import ConnectRole
from connectors.runner import Runner
from tests import city
from tests.faults.bad import ALLOWANCE, HEADER, NOW, drop, line, live

DATASET = "ga.resident_base"
SECRET = "990000198001160010"


def turn(role: ConnectRole) -> list[Callable[[], Runner]]:
    """One turn of every dataset; what makes the runners."""
    stop = SimpleNamespace(is_set=lambda: False)
    made = []
    for dataset, make in role._runners():
        role._turn(dataset, make, stop)  # type: ignore[arg-type]
        made.append(make)
    return made


def rows(*numbers: int) -> str:
    return "\r\n".join((HEADER, *map(line, numbers), ""))


def test_an_unforeseen_error_of_one_dataset_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.use_mapping(tmp_path, "ga_resident_base", "mz_subsistence_allowance")
    city.put(city.county(tmp_path, "371502"), city.resident(1, NOW))
    drop(tmp_path, rows(1))
    run = Runner.run

    def fails(self: Runner, *words: Any, **more: Any) -> Any:
        if self._dataset.id == DATASET:
            raise ZeroDivisionError(SECRET)
        return run(self, *words, **more)

    monkeypatch.setattr(Runner, "run", fails)
    told: list[str] = []
    with city.city(tmp_path) as broker:
        monkeypatch.setattr(broker.telemetry, "emit", (events := []).append)
        role = broker.connect_role(told.append)
        turn(role)
        assert live(broker, ALLOWANCE) == 1
        role.close()
    assert len(told) == 1 and DATASET in told[0] and "ZeroDivisionError" in told[0]
    assert RoleFailed(role="connect", error="ZeroDivisionError") in events
    assert SECRET not in f"{told} {events}"


@pytest.mark.parametrize("moment", ["0001-01-01 00:00:00", "0999-12-31 23:59:59"])
def test_a_cursor_at_the_beginning_of_all_time_stops_nothing(tmp_path: Path, moment: str) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW, gxsj=moment))
    with city.city(tmp_path) as broker:
        for _ in range(2):
            (report,) = city.collect(broker)
            assert report.error is None and report.counts.rows == 1
        ((_, standing),) = broker.standings()
        assert standing.behind == 0
        city.put(path, city.resident(2, NOW, gxsj=moment), city.resident(3, NOW))
        (report,) = city.collect(broker)
        assert report.counts.rows == 3
        assert live(broker, DATASET) >= 1


def test_drops_that_have_not_changed_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.use_mapping(tmp_path, "ga_resident_base", "mz_subsistence_allowance")
    city.county(tmp_path, "371502")
    drop(tmp_path, rows(1))
    now, read, digest = [1000.0], list[str](), drops._digest

    def counted(path: Path) -> str:
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(drops, "_digest", counted)
    monkeypatch.setattr(sources_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    told: list[str] = []
    with city.city(tmp_path) as broker:
        role = broker.connect_role(told.append)
        first = turn(role)
        for _ in range(3):
            now[0] += 61
            assert turn(role) == first
        assert len(read) == 1, "every minute it is read whole"
        city.put(city.county(tmp_path, "371503"), city.resident(2, NOW))
        drop(tmp_path, rows(2), "低保-0002.csv")
        now[0] += 61
        again = turn(role)
        assert live(broker, DATASET) == 1, "a new source is found within a minute"
        assert live(broker, ALLOWANCE) == 2
        assert len(read) == 2 and again[1] == first[1] and again[0] != first[0]
        role.close()
    assert not told


def test_a_trouble_that_comes_back_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = [0.0]
    monkeypatch.setattr(up.OUTPUT, "say", lambda zh, en, sign="": said.append(en.split()[-1]))
    monkeypatch.setattr(up, "time", SimpleNamespace(monotonic=lambda: now[0]), raising=False)
    say = up.told("connect", UTC)
    for _ in range(100):  # two troubles that go on, each told every half minute
        say("one")
        say("other")
        now[0] += 30
    assert said == ["one", "other"]
    now[0] += timedelta(minutes=5).total_seconds()
    say("one")
    assert said == ["one", "other", "one"]
