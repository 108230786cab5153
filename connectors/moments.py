"""The column of a row's time of change: its Avro bytes, and the milliseconds since 1970.

Law: as `columns`. A time is put together from a day, a minute and the rest only where the zone's
clocks stood unchanged that day.
"""

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

from broker.model import Schema
from broker.projection.written import times
from connectors.columns import TEXTS, Cells, Written, exactly
from connectors.convert import Cell, Converter

_FORMAT = re.compile("%Y(?P<between>[-/])%m(?P=between)%d(?P<then>[ T])%H:%M(?P<rest>|:%SZ?)")
"""Ways of writing a time that cannot hold an ID or mobile number: ten digits in a row at most."""
_DAY = 86_400_000
_1970 = date(1970, 1, 1).toordinal()
_LEAST, _MOST = 1971, 2038
"""Years of which every time can be written from tables."""


class Moments:
    """Compiled once for a column of times."""

    def __init__(self, cell: Cell, converter: Converter, field: Schema) -> None:
        self.name = cell.column
        self._one = exactly(cell, converter, field)
        self._value = partial(converter.read, cell)
        self._tables = None if cell.coded else _tables(cell.format, cell.zone)

    def read(self, cells: Cells) -> tuple[Written, list[int]]:
        """The bytes of each cell's time, and the time; None where it is wrong."""
        if self._tables is not None and TEXTS.issuperset(map(type, cells)):
            days, minutes, rest = self._tables
            try:
                found = [days[cell[:10]] + minutes[cell[10:16]] + rest[cell[16:]] for cell in cells]
                return [*times(found)], found
            except (KeyError, TypeError):  # where one is not plain, halves are tried
                if len(cells) > 1:
                    half = len(cells) // 2
                    (written, found), more = self.read(cells[:half]), self.read(cells[half:])
                    return written + more[0], found + more[1]
        return self._exactly(cells)

    def _exactly(self, cells: Cells) -> tuple[Written, list[int]]:
        written, found = Written(), list[int]()
        for cell in cells:
            one = self._one(cell)
            written.append(one)
            found.append(0 if one is None else milliseconds(self._value(cell)))
        return written, found


def milliseconds(moment: datetime) -> int:
    """A time of change as ownership knows it."""
    return int(moment.timestamp() * 1000)


class _Days(dict[str, int]):
    """When a day began, by how it is written. `KeyError` for all that are not plain."""

    def __init__(self, between: str, zone: ZoneInfo) -> None:
        self._pattern = re.compile(f"([0-9]{{4}}){between}([0-9]{{2}}){between}([0-9]{{2}})")
        self._zone = zone

    def __missing__(self, written: str) -> int:
        parts = self._pattern.fullmatch(written)
        if parts is None:
            raise KeyError
        try:
            began = _began(date(*map(int, parts.groups())), self._zone)
        except ValueError:
            raise KeyError from None
        if began is None:
            raise KeyError
        self[written] = began
        return began


Tables = tuple[_Days, dict[str, int], dict[str, int]]


@lru_cache(64)
def _tables(written: str, zone: ZoneInfo) -> Tables | None:
    """Of times written in a format: of their days, minutes and seconds, the milliseconds."""
    form = _FORMAT.fullmatch(written)
    if form is None:
        return None
    minutes = {
        f"{form['then']}{minute // 60:02}:{minute % 60:02}": minute * 60_000
        for minute in range(24 * 60)
    }
    seconds = range(60) if form["rest"] else range(1)
    rest = {form["rest"].replace("%S", f"{one:02}"): one * 1_000 for one in seconds}
    return _Days(form["between"], zone), minutes, rest


@lru_cache(1 << 14)
def _began(day: date, zone: ZoneInfo) -> int | None:
    """When a day began in a zone; None where its clocks were changed that day, or nearly."""
    if not _LEAST <= day.year <= _MOST:
        return None
    midnight = datetime.combine(day, time(), zone)
    offsets = {
        (midnight + timedelta(hours=hours)).replace(fold=fold).utcoffset()
        for hours in (0, 6, 12, 18, 24)
        for fold in (0, 1)
    }
    (offset, *others) = offsets
    if others or offset is None:
        return None
    return (day.toordinal() - _1970) * _DAY - offset // timedelta(milliseconds=1)
