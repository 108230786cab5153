"""kill -9 at random points: what was acknowledged stands, and the end is exact."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from broker.bootstrap import Broker
from broker.cli.demo.residents import live_keys
from broker.cli.demo.script import CONSUMERS, GRANTS, relaxes
from broker.model import Level
from broker.quarantine import Quarantine
from connectors.samples.build import Expected, build
from tests import city, recompute

KILLS = 20
PEOPLE = 150


def prepared(folder: Path, people: int = PEOPLE, seed: int = 7) -> Expected:
    """A city with the sample departments and the demo's grants; nothing collected yet."""
    city.use_mapping(
        folder, "ga_resident_base", "ga_residence_permit", "mz_subsistence_allowance",
        "mz_disability_subsidy", "wj_vaccination", "wj_family_doctor_contract",
    )  # fmt: skip
    with city.city(folder) as broker:
        rules = broker.settings.local_policies / "rules"
        rules.mkdir(parents=True)
        (rules / "demo.yaml").write_text(relaxes(broker.today), "utf-8")
        expected = build(
            broker.settings.sources_path, people=people, seed=seed, as_of=broker.today,
            divisions=broker.divisions, mess=0.02,
        )  # fmt: skip
        for one in CONSUMERS:
            broker.sharing.add_consumer(one.id, one.department, Level(int(one.tier[1])), one.title)
        for one in GRANTS:
            if not one.expired:
                city.grant(
                    broker, one.consumer, one.items.replace(",", " "), dataset=one.dataset,
                    scope=one.scope, purpose=one.purpose, minors=one.minors,
                )  # fmt: skip
    return expected


def child(folder: Path) -> subprocess.Popen[str]:
    """The path as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.child", str(folder)],
        cwd=city.ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def assert_exact(broker: Broker, expected: Expected) -> int:
    """Every dataset and every share is as it must be; how many shares were compared."""
    for name, counts in expected.items():
        dataset = broker.catalog.dataset(name)
        assert live_keys(broker, dataset.collected_topic) == counts["live_keys"], name
        entries = Quarantine(dataset, broker.sealer).entries(broker.log, 10**6)
        assert len(entries) == counts["quarantined"], name
    shares = [one for one in broker.sharing.settle() if one.share is not None]
    for one in shares:
        assert recompute.held(broker, one) == recompute.wanted(broker, one)
    return len(shares)


def test_twenty_kills_and_every_share_is_exact(tmp_path: Path) -> None:
    """The first half of them while it collects, the others while it relays."""
    draw = random.Random(11)
    inside = rounds = kills = in_relay = 0
    folder, expected = tmp_path / "0", prepared(tmp_path / "0")
    while kills < KILLS:
        process = child(folder)
        after, in_transaction = draw.randrange(1, 12), draw.random() < 0.7
        lines, open_now, relaying = 0, False, False
        assert process.stdout is not None
        for line in process.stdout:
            open_now = line == "in\n"
            relaying = relaying or line == "relaying\n"
            lines += open_now and (relaying or kills < KILLS // 2)
            if line == "done\n" or (lines >= after and open_now == in_transaction):
                break
        if line == "done\n":
            process.wait()
            with city.city(folder) as broker:
                assert_exact(broker, expected)
            rounds += 1
            folder = tmp_path / str(rounds)
            expected = prepared(folder, seed=7 + rounds)
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kills += 1
        inside += open_now
        in_relay += relaying
    process = child(folder)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and output.endswith("done\n")
    assert inside * 2 >= KILLS, f"only {inside} of {KILLS} inside an open batch"
    assert in_relay * 2 >= KILLS, f"only {in_relay} of {KILLS} while it relays"
    with city.city(folder) as broker:
        assert assert_exact(broker, expected) == 6
