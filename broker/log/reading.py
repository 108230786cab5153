"""Reading a partition page by page.

Law: what is read is what stands below `end`, in order, each record once; nothing is kept
but the page under way.
"""

from collections.abc import Iterator

from broker.log.interface import Log, Stored

_RECORDS_A_PAGE = 5_000
_KEYS_A_PAGE = 50_000


def records(log: Log, topic: str, partition: int, start: int, end: int) -> Iterator[Stored]:
    """The records with an offset from `start` and below `end`."""
    while start < end:
        page = log.read(topic, partition, start, min(_RECORDS_A_PAGE, end - start))
        if not page:
            return
        yield from (record for record in page if record.offset < end)
        start = page[-1].offset + 1


def keys(log: Log, topic: str, partition: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The same as (offset, key): no value is fetched."""
    while start < end:
        page = log.keys(topic, partition, start, min(_KEYS_A_PAGE, end - start))
        if not page:
            return
        yield from ((offset, key) for offset, key in page if offset < end)
        start = page[-1][0] + 1


def last_offsets(log: Log, topic: str, partition: int, start: int, end: int) -> dict[bytes, int]:
    """Where each key's last record stands."""
    return {key: offset for offset, key in keys(log, topic, partition, start, end)}
