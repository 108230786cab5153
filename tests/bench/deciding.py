"""The cost of one decision, by the demo's grants."""

import statistics
import tempfile
from pathlib import Path

from broker.cli.demo.script import CONSUMERS, GRANTS, relaxes
from broker.model import Level
from broker.policy.decide import decide
from tests import city
from tests.bench.measure import measured

_TIMES = 200


def deciding() -> dict[str, float]:
    """µs of one decision."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        rules = broker.settings.local_policies / "rules"
        rules.mkdir(parents=True)
        (rules / "demo.yaml").write_text(relaxes(broker.today), "utf-8")
        for one in CONSUMERS:
            broker.sharing.add_consumer(one.id, one.department, Level(int(one.tier[1])), one.title)
        for one in GRANTS:
            city.grant(
                broker, one.consumer, one.items.replace(",", " "), dataset=one.dataset,
                scope=one.scope, purpose=one.purpose, minors=one.minors,
            )  # fmt: skip
        times, policy = [], broker.policy
        for grant in (one.grant for one in broker.sharing.grants()):
            dataset = broker.catalog.dataset(grant.dataset)
            _, seconds, _ = measured(
                lambda g=grant, d=dataset: [decide(g, (), d, policy) for _ in range(_TIMES)]
            )
            times.append(seconds / _TIMES * 1e6)
        return {"median_us": round(statistics.median(times), 1), "max_us": round(max(times), 1)}
