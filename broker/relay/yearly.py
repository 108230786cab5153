"""The order of a new year: on 1 January ages change, and so do the rows of a share.

Law: a year that was ordered is never taken back, whatever the clock says later.
"""

from broker.errors import PositionMoved
from broker.log.interface import Batch, Log, PositionWrite
from broker.relay.position import ordered_year, packed_year, year_position


def order_year(log: Log, dataset: str, year: int) -> bool:
    """Order that the dataset's ages are judged by this year; False where they are already."""
    known = ordered_year(log, dataset)
    if known >= year:
        return False
    name = year_position(dataset)
    before = packed_year(known) if known else None
    try:
        log.commit(Batch(positions=[PositionWrite(name, before, packed_year(year))]))
    except PositionMoved:
        return False  # another controller has ordered it
    return True
