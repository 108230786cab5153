"""How far the shares are behind what was collected, as metrics.

Law: lag is asked for when it is scraped, from what is committed; marks that the log itself
leaves are no records. Where the log does not answer, that is said and nothing else.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.errors import ShuQiaoError
from broker.log.interface import Log
from broker.log.topics import RELAYED, SHARE_POSITIONS, relay_position, share_positions
from broker.model import Dataset
from broker.relay.position import Common
from broker.sharing.share import JOINED, Share


class Places:
    """Up to where the common pass and every share had come when this was made."""

    def __init__(self, log: Log) -> None:
        self._common = log.positions(RELAYED)
        self._shares = log.positions(SHARE_POSITIONS)

    def common(self, dataset: Dataset) -> list[int]:
        """Up to where every partition of a dataset has been relayed."""
        known = self._common
        names = [relay_position(dataset.id, number) for number in range(dataset.partitions)]
        return [Common.unpack(known[name]).offset if name in known else 0 for name in names]

    def share(self, share: str, dataset: Dataset) -> list[int]:
        """Up to where a share has come in every partition."""
        found = []
        for partition, place in enumerate(self.common(dataset)):
            own = self._shares.get(f"{share_positions(share)}{partition}")
            found.append(place if own == JOINED else int.from_bytes(own or b"", "big"))
        return found


class Behind:
    """What stands in a collected topic behind given places; each place is read once."""

    def __init__(self, log: Log, dataset: Dataset) -> None:
        self._log = log
        self._topic = dataset.collected_topic
        numbers = range(dataset.partitions)
        self._ends = log.ends((self._topic, number) for number in numbers)
        self._known: dict[tuple[int, int], tuple[int, float]] = {}

    def end(self, partition: int) -> int:
        """Up to where a partition can be read."""
        found = self._ends.get((self._topic, partition))
        return found.offset if found else 0

    def lag(self, partition: int, place: int) -> tuple[int, float]:
        """From an offset on: how many records, at most, and how many seconds ago the first of
        them was committed."""
        if (partition, place) not in self._known:
            self._known[partition, place] = self._lag(partition, place)
        return self._known[partition, place]

    def _lag(self, partition: int, place: int) -> tuple[int, float]:
        end = self.end(partition)
        first = self._log.read(self._topic, partition, place, 1) if end > place else ()
        if not first or first[0].offset >= end:
            return 0, 0.0
        return end - first[0].offset, max(0.0, time.time() - first[0].timestamp / 1000)


class LagCollector(Collector):
    """The metrics of a log and of the shares that come of it."""

    def __init__(
        self, log: Callable[[], Log], datasets: Sequence[Dataset], shares: Callable[[], list[Share]]
    ) -> None:
        self._log = log
        self._datasets = datasets
        self._shares = shares

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is asked of the log before the first scrape."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """See `Collector`."""
        reached = GaugeMetricFamily("shuqiao_log_reached", "whether log and store answered")
        try:
            yield from self._counted()
            yield from self._lags()
        except ShuQiaoError:
            reached.add_metric((), 0)
        else:
            reached.add_metric((), 1)
        yield reached

    def _counted(self) -> Iterator[CounterMetricFamily]:
        found = CounterMetricFamily(
            "shuqiao_log_transactions", "what became of the log's transactions", labels=("outcome",)
        )
        for name, number in self._log().counts().items():
            found.add_metric((name,), number)
        yield found

    def _lags(self) -> Iterator[GaugeMetricFamily]:
        """Both of every partition, and of every share in it."""
        log, topics, shares = self._log(), self._log().topics(), self._shares()
        families = {
            (whose, unit): GaugeMetricFamily(
                f"shuqiao_{whose}_lag_{unit}", f"{unit} behind", labels=(name, "partition")
            )
            for whose, name in (("relay", "dataset"), ("share", "share"))
            for unit in ("records", "seconds")
        }
        places = Places(log)
        for dataset in self._datasets:
            if dataset.collected_topic not in topics:
                continue
            behind = Behind(log, dataset)
            self._add(families, "relay", dataset.id, behind, places.common(dataset))
            for share in (one for one in shares if one.dataset == dataset.id):
                self._add(families, "share", share.id, behind, places.share(share.id, dataset))
        yield from families.values()

    @staticmethod
    def _add(
        families: dict[tuple[str, str], GaugeMetricFamily],
        whose: str,
        name: str,
        behind: Behind,
        places: Sequence[int],
    ) -> None:
        for partition, place in enumerate(places):
            records, seconds = behind.lag(partition, place)
            families[whose, "records"].add_metric((name, str(partition)), records)
            families[whose, "seconds"].add_metric((name, str(partition)), seconds)
