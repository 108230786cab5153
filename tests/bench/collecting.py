"""Collecting alone: rows in memory as the sources gave them, the embedded log in a folder.

What is measured is everything from the rows to the commit; not the reading of the source, which
is stood for by pages that are unpacked just before they are handed over: that is taken off again.
A first load writes an owner for every record; a second run meets every row as it was.
"""

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

from broker.bootstrap import Broker
from broker.roles import collect_seldom
from connectors.mapping import Mapping
from connectors.runner import Runner, Supply
from connectors.samples.build import build
from connectors.source import RowBatch
from tests import city
from tests.bench.measure import measured

BATCH = 2_000
DATASET = "ga.resident_base"


class InMemory:
    """A source that has been read already; `seconds` and `cpu` are what unpacking took."""

    def __init__(self, name: str, pages: Iterable[RowBatch]) -> None:
        self.name = name
        self.rows, self.seconds, self.cpu = 0, 0.0, 0.0
        self._pages = list[bytes]()
        for page in pages:
            self.rows += len(page.rows)
            self._pages.append(pickle.dumps(page))

    def check(self) -> None:
        """See `Source`."""

    def batches(self, after: bytes | None, limit: int, again: bool = False) -> Iterator[RowBatch]:
        """See `Source`: every page, whatever the position."""
        for packed in self._pages:
            page, seconds, cpu = measured(partial(pickle.loads, packed))
            self.seconds += seconds
            self.cpu += cpu
            yield page

    def total(self) -> int | None:
        """See `Source`."""
        return self.rows

    def behind(self, after: bytes | None) -> int:
        """See `Source`."""
        return 0


@contextmanager
def _sources(people: int) -> Iterator[tuple[Broker, list[tuple[Mapping, InMemory]]]]:
    """The sample sources of residents, read; the broker that has read them."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        city.use_mapping(Path(name))
        build(
            broker.settings.sources_path, people=people, seed=1, as_of=date.today(),
            divisions=broker.divisions,
        )  # fmt: skip
        yield (
            broker,
            [
                (mapping, InMemory(mapping.name, broker.source(mapping).batches(None, BATCH)))
                for mapping in broker.mappings()
                if mapping.dataset == DATASET
            ],
        )


def _runner(broker: Broker, sources: list[tuple[Mapping, InMemory]]) -> Runner:
    dataset = broker.catalog.dataset(DATASET)
    secrets = broker._secrets(dataset)
    supplies = [
        Supply(source, partial(broker.collector, mapping, secrets)) for mapping, source in sources
    ]
    return Runner(
        dataset, supplies, log=broker.log, sealer=broker.sealer, emit=broker.telemetry.emit
    )


def _once(sources: list[tuple[Mapping, InMemory]]) -> dict[str, dict[str, float]]:
    """What a first load costs, and a run that finds everything as it was."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        runner, found = _runner(broker, sources), dict[str, dict[str, float]]()
        broker.registry.schema_id(broker.catalog.dataset(DATASET).schema)  # once for ever
        collect_seldom()  # as the roles do
        for what in ("first load", "unchanged rows"):
            for _, source in sources:
                source.seconds = source.cpu = 0.0
            reports, wall, cpu = measured(lambda: runner.run(BATCH))
            wall -= sum(source.seconds for _, source in sources)
            cpu -= sum(source.cpu for _, source in sources)
            rows = sum(report.counts.rows for report in reports)
            found[what] = {"records": rows, "seconds": wall, "cpu": cpu}
        return found


def collecting(people: int, runs: int) -> dict[str, list[dict[str, float]]]:
    """Both, of several runs, each with a log of its own."""
    with _sources(people) as (_, sources):
        found = [_once(sources) for _ in range(runs)]
    return {what: [one[what] for one in found] for what in found[0]}
