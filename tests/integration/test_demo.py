"""The demo and the wheel, as their user has them."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from deploy.kafka import cluster as clusters
from deploy.kafka.cluster import Cluster
from deploy.postgres.server import Server
from tests import kafka
from tests.city import ROOT
from tests.faults.test_processes import process, until

ITEMS = {
    ("grid_dongchangfu", "ga.resident_base"): "pseudonym",
    ("mz_verify", "ga.resident_base"): "keep",
    ("wj_planning", "mz.disability_subsidy"): "pseudonym",
}


def demo(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broker.cli.main", "demo", "--once", "--people", "300",
         "--state", str(folder / "demo"), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "COLUMNS": "200", "TZ": "Etc/GMT+12", **more},  # far from the city's
    )  # fmt: skip


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    result = demo(tmp_path, "--json")
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout)
    assert set(found) == {"collected", "quarantined", "shares", "seconds"}
    manifest = json.loads((tmp_path / "demo" / "sources" / "manifest.json").read_text())
    for dataset, counts in manifest.items():
        assert found["collected"][dataset] == counts["live_keys"]
        assert found["quarantined"][dataset] == counts["quarantined"]
    assert len(found["shares"]) == 6
    for share in found["shares"]:
        assert set(share) == {"consumer", "dataset", "topic", "records", "items"}
        assert share["topic"].startswith(f"shared.{share['dataset']}.s") and share["records"] > 0
        wanted = ITEMS.get((share["consumer"], share["dataset"]))
        assert wanted is None or share["items"]["id_no"] == wanted


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        (
            "zh",
            (
                "投影由",
                "一次采集",
                "什么也没有收到",
                "未满 14 周岁",
                "不得接收任何行",
                "接下来可以试",
            ),
        ),
        (
            "en",
            (
                "are projected by",
                "Collected once",
                "gets nothing",
                "under 14",
                "may receive no row",
                "to try next",
            ),
        ),
    ],
)
def test_it_speaks_and_twice_is_no_trouble(
    tmp_path: Path, lang: str, words: tuple[str, ...]
) -> None:
    for _ in range(2):
        result = demo(tmp_path, "--lang", lang)
        assert result.returncode == 0, result.stderr[-2000:]
    for word in words:
        assert word in result.stdout


def test_on_kafka_and_postgresql_it_is_the_same(tmp_path: Path, postgres: Server) -> None:
    """They are started with it and end with it; what is shown is what is shown without them."""
    if lacking := clusters.missing():
        kafka.lacking(lacking)
    found = []
    for words in ((), ("--engine", "kafka")):
        result = demo(tmp_path, "--json", *words)
        assert result.returncode == 0, result.stderr[-2000:]
        found.append(json.loads(result.stdout))
    for one in found:
        del one["seconds"]
        for share in one["shares"]:
            share["topic"] = share["topic"].rpartition(".")[0]
    assert found[0] == found[1]
    state = tmp_path / "demo"
    assert not (state / "log.db").exists() and not (state / "store.db").exists()
    (node,) = Cluster(state / "engine" / "kafka").nodes
    assert not Cluster(state / "engine" / "kafka").pid(node)


def test_where_kafka_cannot_be_had_it_says_so(tmp_path: Path) -> None:
    result = demo(tmp_path, "--engine", "kafka", PATH=str(tmp_path))
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "java" in result.stdout + result.stderr or "Java" in result.stdout + result.stderr


def test_it_empties_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "precious").touch()
    result = demo(tmp_path)
    assert result.returncode == 1 and "--state" in result.stderr + result.stdout
    assert (tmp_path / "demo" / "precious").exists()


def test_an_installed_wheel_finds_its_schemas_and_policies(tmp_path: Path) -> None:
    """The wheel alone, in an environment of its own, away from the source tree."""
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignore)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(source)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    home = tmp_path / "home"
    venv.create(home, with_pip=False)
    site = next(home.glob("lib/python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site),
         str(wheel)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    ours = [path for path in sys.path if path.endswith("site-packages")]
    check = (
        "import sys; sys.path.extend(sys.argv.pop(1).split(':')); import broker;"
        f"assert broker.__file__.startswith({str(site)!r}), broker.__file__;"
        "from broker.cli.main import app; app(sys.argv[1:])"
    )
    for words in (
        ["catalog", "check"],
        ["policy", "check"],
        ["demo", "--once", "--people", "60", "--state", str(tmp_path / "demo"), "--json"],
    ):
        result = subprocess.run(
            [str(home / "bin" / "python"), "-c", check, ":".join(ours), *words],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={"PATH": os.environ["PATH"], "SHUQIAO_STATE": str(tmp_path / "state")},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-2000:]


def test_it_rebuilds_no_folder_in_which_a_role_runs(tmp_path: Path) -> None:
    assert demo(tmp_path).returncode == 0
    state = tmp_path / "demo"
    for words in (("controller",), ("relay", "--follow")):
        with process(state, *words):
            until(lambda: '"RoleStarted"' in (state / "events.jsonl").read_text())
            events = (state / "events.jsonl").read_bytes()
            result = demo(tmp_path, "--lang", "en")
            assert result.returncode == 1 and "is at work" in result.stdout + result.stderr
            assert (state / "events.jsonl").read_bytes().startswith(events), "nothing is touched"
        (state / "events.jsonl").write_text("")
    assert demo(tmp_path).returncode == 0
