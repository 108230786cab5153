"""What is taken of a page of records."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from broker.log.interface import Page
from broker.relay.versions import LastVersions


def taken(page: Page, numbers: Sequence[int]) -> Page:
    """Those records of a page."""
    return Page(
        [page.offsets[number] for number in numbers],
        [page.keys[number] for number in numbers],
        [page.values[number] for number in numbers],
    )


def part(page: Page, count: int) -> Page:
    """Its first records."""
    return page if count == len(page.keys) else taken(page, range(count))


def size_of(page: Page) -> int:
    """The bytes of its values."""
    return sum([len(value) for value in page.values if value])


def fitting(page: Page, size: int) -> int:
    """How many records have together so many bytes; at least one."""
    if size_of(page) <= size:
        return len(page.values)
    sizes = [len(value) if value else 0 for value in page.values]
    return max(1, bisect_right(list(accumulate(sizes)), size))


def newest_of(page: Page, last: LastVersions, most: int, end: int) -> tuple[Page, int]:
    """Of those records of which no later version was seen the first so many; the offset up to which
    they go, `end` where there are none."""
    found = last.newest(page)
    reached = page.offsets[-1] + 1 if page.keys else end
    if len(found) > most:
        reached = page.offsets[found[most]]
        del found[most:]
    return (page if len(found) == len(page.keys) else taken(page, found)), reached
