"""`./run kafka`: a cluster on this machine, as typed; and that none outlives a test run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.kafka import cluster as clusters
from deploy.kafka.cluster import Cluster, NoKafka
from tests import city, kafka

STARTS = """
import os, sys, time
from pathlib import Path
from tests import kafka
with kafka.running(Path(sys.argv[1])):
    print("runs", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def possible() -> None:
    if lacking := clusters.missing():
        kafka.lacking(lacking)


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`./run kafka …` over that folder."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.kafka", *words, "--folder", str(folder)],
        cwd=city.ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_cluster_is_started_shown_and_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    assert typed(folder, "status").returncode == 1
    started = typed(folder, "start")
    assert started.returncode == 0, started.stderr
    made = Cluster(folder)
    try:
        (node,) = made.nodes
        pid = made.pid(node)
        assert pid and str(pid) in started.stdout and node.address in started.stdout
        again = typed(folder, "start")
        assert again.returncode == 0 and made.pid(node) == pid, "it runs already"
        other = typed(folder, "start", "--nodes", "3")
        assert other.returncode == 1 and "has 1 nodes" in other.stderr
        for name in ("password", "shuqiao.yaml", "security/node1.pem"):
            assert (folder / name).stat().st_mode & 0o777 == 0o600
        properties = (node.folder / "server.properties").read_text()
        assert "PLAINTEXT" not in properties and "0.0.0.0" not in properties
    finally:
        stopped = typed(folder, "stop")
    assert stopped.returncode == 0 and "1 node(s) ended" in stopped.stdout
    assert not made.pid(node) and typed(folder, "status").returncode == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    """Nor one whose whole group of processes is told to end."""
    folder = tmp_path / "kafka"
    running = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(folder)],
        cwd=city.ROOT, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert running.stdout and running.stdout.readline() == b"runs\n"
        (node,) = Cluster(folder).nodes
        assert Cluster(folder).pid(node)
    finally:
        os.killpg(running.pid, number)
        running.communicate()
    city.until(lambda: not Cluster(folder).pid(node), 20)


def test_what_cannot_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "LIBRARIES", tmp_path / "target" / "libs")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKafka, match="java and mvn not found"):
        Cluster(tmp_path / "kafka").make(1)


def test_a_process_of_another_kind_is_never_ended(tmp_path: Path) -> None:
    """Its id may have been given to somebody else since."""
    made = Cluster(tmp_path / "kafka")
    node = made._node(1, 1, 2, 3)
    node.folder.mkdir(parents=True)
    other = subprocess.Popen(["sleep", "60"])
    try:
        (node.folder / "pid").write_text(str(other.pid))
        assert made.pid(node) == 0
        made.end(node, signal.SIGKILL)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
