"""A row's cells → a record of the dataset, or why not.

Law: nothing is guessed and nothing is repaired: a cell that does not say plainly what
its item is makes the row wrong. A value that looks like an ID or mobile number in an
item below L3 is misplaced. Zone-less times are in the mapping's zone; records hold UTC.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from stdnum.cn import ric

from broker.divisions import Divisions
from broker.model import Dataset, Item, Kind, Level
from connectors.mapping import Column
from connectors.mapping import Mapping as SourceMapping
from connectors.misplaced import holds_identifier
from connectors.source import Fault, value_fault

_DIVISION = re.compile(r"[0-9]{12}")
_TRUE = frozenset({"1", "true", "t", "y", "yes"})
_FALSE = frozenset({"0", "false", "f", "n", "no"})

Parse = Callable[[Any], Any]


class Wrong(Exception):
    """A cell is wrong: a reason code and what to do. Stays in this package."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Cell:
    """A column and the item that it becomes; `parse` reads what is neither empty nor misplaced."""

    column: str
    item: Item
    parse: Parse
    format: str
    coded: bool
    zone: ZoneInfo


class Converter:
    """Compiled once for a mapping, used for every row."""

    def __init__(self, dataset: Dataset, mapping: SourceMapping, divisions: Divisions) -> None:
        self._divisions = divisions
        self.cells = [self._compile(dataset, column, mapping.zone) for column in mapping.columns]
        self._deletion = [
            cell for cell in self.cells if cell.item.name in (*dataset.primary_key, "updated_at")
        ]
        self._keys = [cell for cell in self.cells if cell.item.name in dataset.primary_key]

    def record(self, cells: Mapping[str, Any]) -> dict[str, Any] | Fault:
        """The record by item, or the first fault."""
        return self._record(self.cells, cells)

    def deletion(self, cells: Mapping[str, Any]) -> dict[str, Any] | Fault:
        """The key and the time of a deleted row: whatever else it holds does not matter."""
        return self._record(self._deletion, cells)

    def _record(self, wanted: list[Cell], cells: Mapping[str, Any]) -> dict[str, Any] | Fault:
        record: dict[str, Any] = {}
        for cell in wanted:
            value = self.read(cell, cells[cell.column])
            if isinstance(value, Fault):
                return value
            record[cell.item.name] = value
        return record

    def read(self, cell: Cell, value: Any) -> Any:
        """The value of an item, or what is wrong with its cell."""
        fault = value_fault(cell.column, value)
        if fault is not None:
            return fault
        try:
            return self._one(cell, value)
        except Wrong as wrong:
            return Fault(wrong.reason, cell.column, wrong.mend)

    def column_of(self, item: str) -> str:
        """The column that holds an item."""
        return next(cell.column for cell in self.cells if cell.item.name == item)

    def key(self, cells: Mapping[str, Any]) -> dict[str, Any] | None:
        """The primary key's items alone, where they can be read."""
        key: dict[str, Any] = {}
        for cell in self._keys:
            value = self.read(cell, cells.get(cell.column))
            if isinstance(value, Fault):
                return None
            key[cell.item.name] = value
        return key

    def _one(self, cell: Cell, value: Any) -> Any:
        if isinstance(value, bytes):
            raise Wrong("undecodable", "store text, not bytes")
        if isinstance(value, str):
            value = value.strip()
            if value == "":
                value = None
        if value is None:
            if cell.item.required:
                raise Wrong("missing_mandatory", f"fill in {cell.item.name}")
            return None
        if cell.item.level < Level.L3 and holds_identifier(str(value)):
            raise Wrong("misplaced_identifier", "move the number to the item it belongs to")
        return cell.parse(value)

    def _compile(self, dataset: Dataset, column: Column, zone: ZoneInfo) -> Cell:
        item = dataset.by_name[column.item]
        parse = self._parser(item, column.format, zone, scope=item.name == dataset.scope_item)
        if column.codes is not None:
            parse = _coded(column.codes, parse)
        return Cell(column.name, item, parse, column.format, column.codes is not None, zone)

    def _parser(self, item: Item, form: str, zone: ZoneInfo, scope: bool) -> Parse:
        if item.kind is Kind.CITIZEN_ID:
            return _citizen_id
        if item.kind is Kind.DIVISION_CODE:
            return self._known_division if scope else _division
        match item.logical:
            case "date":
                return lambda value: _date(value, form)
            case "timestamp-millis":
                return lambda value: _time(value, form, zone)
            case "decimal":
                scale = item.avro["scale"] if isinstance(item.avro, dict) else 0
                return lambda value: _decimal(value, scale)
            case "int" | "long":
                return _whole
            case "boolean":
                return _boolean
            case _:
                return _text

    def _known_division(self, value: Any) -> str:
        code = _division(value)
        if self._divisions.get(code) is None:
            raise Wrong("unknown_division", "use a code of the division table")
        return code


def _citizen_id(value: Any) -> str:
    """GB 11643: 17 digits and a check character, with a real date in the middle."""
    text = value.upper() if isinstance(value, str) else ""
    if len(text) != 18 or not text.isascii() or not text[:17].isdigit():
        raise Wrong("malformed_id", "an ID number has 17 digits and a check character")
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        raise Wrong("impossible_date", "the ID number's birth date does not exist") from None
    if ric.calc_check_digit(text) != text[17]:
        raise Wrong("wrong_check_digit", "compare the ID number with the document")
    return text


def _division(value: Any) -> str:
    text = str(value)
    if not _DIVISION.fullmatch(text):
        raise Wrong("malformed_division", "a division code has 12 digits")
    return text


def _date(value: Any, form: str) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return datetime.strptime(str(value), form).date()
    except ValueError:
        raise Wrong("impossible_date", f"a real date, written as {form}") from None


def _time(value: Any, form: str, zone: ZoneInfo) -> datetime:
    if not isinstance(value, datetime):
        try:
            value = datetime.strptime(str(value), form)
        except ValueError:
            raise Wrong("impossible_time", f"a real time, written as {form}") from None
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    try:
        moment: datetime = value.astimezone(UTC)
    except OverflowError:
        raise Wrong("impossible_time", "a time of this era") from None
    return moment


def _decimal(value: Any, scale: int) -> Decimal:
    try:
        number = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        raise Wrong("malformed_amount", "digits and a decimal point") from None
    if not number.is_finite() or not -_MOST < number < _MOST:
        raise Wrong("malformed_amount", "an amount below 10 billion")
    if number != round(number, scale):
        raise Wrong("malformed_amount", f"at most {scale} decimals")
    return round(number, scale)


_MOST = 10**10


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?[0-9]{1,9}", str(value)):
        raise Wrong("malformed_number", "a whole number")
    return int(value)


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise Wrong("unknown_code", "Y or N, or a code list in the mapping")
    return text in _TRUE


def _text(value: Any) -> str:
    if isinstance(value, float):
        raise Wrong("number_for_text", "store it as text: numbers lose their digits")
    return str(value)


def _coded(codes: Mapping[str, str], parse: Parse) -> Parse:
    def look_up(value: Any) -> Any:
        ours = codes.get(str(value))
        if ours is None:
            raise Wrong("unknown_code", "add the code to the mapping's list, or mend it")
        return parse(ours)

    return look_up
