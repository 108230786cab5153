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
from broker.log.topics import share_positions
from broker.model import Dataset
from broker.relay.position import judged
from broker.sharing.share import JOINED, Share


def waiting(log: Log, topic: str, partition: int, place: int) -> tuple[int, float]:
    """From an offset on: how many records, at most, and how many seconds ago the first of them
    was committed."""
    end = log.end(topic, partition)
    first = log.read(topic, partition, place, 1) if end > place else ()
    if not first:
        return 0, 0.0
    return end - first[0].offset, max(0.0, time.time() - first[0].timestamp / 1000)


def share_places(log: Log, share: str, common: Sequence[int]) -> list[int]:
    """Up to where a share has come in every partition; `common` is the common pass's place."""
    start = share_positions(share)
    known = log.positions(start)
    found = []
    for partition, place in enumerate(common):
        own = known.get(f"{start}{partition}")
        found.append(place if own == JOINED else int.from_bytes(own or b"", "big"))
    return found


def common_places(log: Log, dataset: Dataset) -> list[int]:
    """Up to where every partition of a dataset has been relayed."""
    places = [judged(log, dataset.id, partition) for partition in range(dataset.partitions)]
    return [place.common.offset if place else 0 for place in places]


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
        for dataset in self._datasets:
            topic = dataset.collected_topic
            if topic not in topics:
                continue
            common = common_places(log, dataset)
            lags = [waiting(log, topic, number, place) for number, place in enumerate(common)]
            self._add(families, "relay", dataset.id, lags)
            for share in (one for one in shares if one.dataset == dataset.id):
                places = share_places(log, share.id, common)
                own = [
                    lags[number] if place == common[number] else waiting(log, topic, number, place)
                    for number, place in enumerate(places)
                ]
                self._add(families, "share", share.id, own)
        yield from families.values()

    @staticmethod
    def _add(
        families: dict[tuple[str, str], GaugeMetricFamily],
        whose: str,
        name: str,
        lags: Sequence[tuple[int, float]],
    ) -> None:
        for partition, (records, seconds) in enumerate(lags):
            families[whose, "records"].add_metric((name, str(partition)), records)
            families[whose, "seconds"].add_metric((name, str(partition)), seconds)
