"""Plain rows that have their keys to themselves: what is appended of them, column by column.

Law: what is taken here, or passed over as unchanged, is what `Collector` would take or pass over.
All others are handed back: rows of keys that another source owns, older rows, the same row out of
another file.
"""

from collections.abc import Sequence

from broker.log.interface import Run
from broker.log.topics import partitions_of
from broker.model import Dataset
from broker.seal import Sealer
from connectors.collected import Collected
from connectors.ownership import Ownership, Packed, is_live
from connectors.plain import Read


class Taking:
    """For one source of a dataset."""

    def __init__(
        self, dataset: Dataset, source: str, ownership: Ownership, sealer: Sealer, schema_id: int
    ) -> None:
        self._topic, self._partitions = dataset.collected_topic, dataset.partitions
        self._source = source
        self._ownership = ownership
        self._sealer = sealer
        self._schema_id = schema_id

    def take(self, read: Read, places: Sequence[int], origin: bytes, done: Collected) -> list[int]:
        """Take those rows of what was read, by their places there; the places of the others."""
        left: list[int] = []
        packed = Packed(self._source, origin)
        apart: list[list[int]] = [[] for _ in range(self._partitions)]
        partitions = partitions_of(read.keys, self._partitions)
        for place in places:
            apart[partitions[place]].append(place)
        for partition, some in enumerate(apart):
            if some:
                # in order, so that the engine finds and writes neighbours one after the other
                some.sort(key=read.keys.__getitem__)
                left += self._take(read, partition, some, packed, done)
        return left

    def _take(
        self, read: Read, partition: int, places: list[int], packed: Packed, done: Collected
    ) -> list[int]:
        """The same, of one partition."""
        times = [read.times[place] for place in places]
        hashes = [read.hashes[place] for place in places]
        now = dict(
            zip([read.keys[place] for place in places], packed.live(times, hashes), strict=True)
        )
        had = self._ownership.stored(partition, now)
        if had == now:
            done.counts.unchanged += len(now)
            return []
        left: list[int] = []
        if had:
            for place in places:
                key = read.keys[place]
                before, entry = had.get(key), now[key]
                if before is None:
                    continue
                if before == entry:
                    done.counts.unchanged += 1
                elif packed.gives_way(before, entry):
                    done.counts.superseded += is_live(before)
                    continue
                else:
                    left.append(place)
                del now[key]
            places = [place for place in places if read.keys[place] in now]
        if now:
            done.counts.appended += len(now)
            keys, bodies = list(now), [read.bodies[place] for place in places]
            values = self._sealer.seal_all(self._topic, keys, self._schema_id, bodies)
            done.batch.runs.append(Run(self._topic, partition, keys, values))
            done.batch.entries.append(self._ownership.entries(partition, now))
        return left
