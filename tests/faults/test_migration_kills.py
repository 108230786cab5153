"""kill -9 after every transaction of a migration, and inside one: it goes on to the same end."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.cli.reconcile import compare_all
from broker.errors import SettingsError
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Log
from broker.sharing.share import CLOSED, LIVE
from tests import city, recompute
from tests.faults.migrating import ONCE, killed
from tests.integration import test_migration
from tests.integration.test_migration import ASIDE, DATASET, PEOPLE, set_aside

there = test_migration.there
RUNS = 40


def run() -> "subprocess.CompletedProcess[bytes]":
    """The migration, until it ends or kills itself."""
    command = [sys.executable, "-m", "tests.faults.migrating"]
    return subprocess.run(command, cwd=city.ROOT, capture_output=True, timeout=60, check=False)


def may_begin(folder: Path) -> bool:
    """Whether a role would begin on the cluster."""
    with city.city(folder) as broker:
        try:
            return broker.log is not None
        except SettingsError:
            return False


def collected(log: Log) -> list[Any]:
    """Every collected record in its order, without offset and time."""
    return [
        [one[1:3] for one in log.read(f"collected.{DATASET}", number, 0, 1000)]
        for number in range(4)
    ]


def test_a_migration_that_is_killed_at_every_step_ends_right(
    on_kafka: Callable[[str], None],
    there: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grant, before = there
    on_kafka("librdkafka")
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    begun = []
    while (done := run()).returncode == -signal.SIGKILL and len(begun) < RUNS:
        begun.append(may_begin(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    times = killed(tmp_path)
    assert set(times) == {"landed", *ONCE} and times.count("landed") > 8
    assert begun == [False] * (len(begun) - 1) + [True], "nobody begins on half of it"
    source = EmbeddedLog(tmp_path / "log.db")
    with city.city(tmp_path) as broker:
        assert collected(broker.log) == collected(source), "nothing twice"
        assert broker.sharing.share(before).state == CLOSED
        city.relay(broker)
        one = next(found for found in broker.sharing.settle() if found.grant.id == grant)
        assert one.share and one.share.id != before and one.share.state == LIVE
        assert len(recompute.held(broker, one)) == PEOPLE - 1
        assert all(each.exact for each in compare_all(broker))
        assert set_aside(broker) == ASIDE
    source.close()
