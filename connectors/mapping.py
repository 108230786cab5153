"""A mapping: how the columns of a source become the items of a dataset.

Law: every column is mapped or ignored by name, every item has one column, the time zone
is stated. What is unknown, missing or said twice is refused with file and line.
"""

import re
from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from broker.catalog import Catalog
from broker.errors import CatalogError, MappingError
from broker.marked import line_of, load_marked
from broker.model import Dataset
from connectors.names import shown_name

_KEYS = {"dataset", "source", "timezone", "deletes", "soft_delete", "columns", "ignore"}
_SOURCE_KEYS = {
    "sql": {
        "name",
        "kind",
        "files",
        "url",
        "table",
        "cursor",
        "cursor_format",
        "row_id",
        "compare_hours",
    },
    "csv": {"name", "kind", "files", "encoding", "full", "row_id"},
}
_MODES = ("soft_delete", "key_diff", "none")
_COMPARE = timedelta(days=1)
_DATED = ("date", "timestamp-millis")
_SORTING = ("YmdHMSf", "YjHMSf", "ymdHMSf")
"""The parts of a time, from the largest on."""


@dataclass(frozen=True, slots=True)
class Column:
    """One mapped column. `codes` maps source codes to ours; `format` is strptime's."""

    name: str
    item: str
    codes: Map[str, str] | None = None
    format: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """One source's mapping. `url` names a database (empty: no file matches `pattern`),
    `pattern` the drops of a folder.

    `row_id` is a column that stays when a row's key changes. `full`: every drop is the
    whole. `compare`: how often a table is compared with what was collected from it.
    """

    file: str
    dataset: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    ignore: tuple[str, ...]
    zone: ZoneInfo
    deletes: str
    soft_delete: str = ""
    soft_delete_values: tuple[str, ...] = ()
    url: str = ""
    table: str = ""
    cursor: str = ""
    cursor_format: str = ""
    folder: Path = Path()
    pattern: str = ""
    encoding: str = ""
    row_id: str = ""
    full: bool = False
    compare: timedelta = _COMPARE

    def __repr__(self) -> str:
        return f"Mapping({self.name!r} → {self.dataset!r})"

    @property
    def expected(self) -> tuple[str, ...]:
        """Every column the source must have, and none beside them."""
        names = [column.name for column in self.columns]
        extra = [self.soft_delete, self.row_id, *self.ignore]
        return tuple(dict.fromkeys([*names, *filter(None, extra)]))

    @property
    def absent(self) -> bool:
        """Whether no file of the source is there."""
        return self.kind == "sql" and not self.url

    def is_deleted(self, cells: Map[str, Any]) -> bool:
        """Whether a row says that it is deleted."""
        return bool(self.soft_delete) and str(cells[self.soft_delete]) in self.soft_delete_values

    def id_of(self, cells: Map[str, Any]) -> str:
        """The row's unchanging id; empty where there is none."""
        value = cells.get(self.row_id) if self.row_id else None
        return "" if value is None else str(value)

    def column_of(self, item: str) -> str:
        """The column that holds an item."""
        return next(column.name for column in self.columns if column.item == item)


def load_mapping(file: Path, catalog: Catalog, folder: Path) -> list[Mapping]:
    """The mappings of a file, one a source; paths in it start at `folder`."""
    return _Reader(file, folder).mappings(load_marked(file, MappingError), catalog)


def _readable(pattern: str) -> bool:
    """Whether a date that is written so can be read again."""
    moment = datetime(2001, 11, 1, 4, 5, 6)
    try:
        return datetime.strptime(moment.strftime(pattern), pattern).date() == moment.date()
    except (ValueError, re.error):
        return False


class _Reader:
    def __init__(self, file: Path, folder: Path) -> None:
        self._file = file
        self._folder = folder

    def mappings(self, node: Any, catalog: Catalog) -> list[Mapping]:
        root = self._map(node, "the file", node)
        self._known(root, _KEYS)
        dataset = self._dataset(root, catalog)
        source = self._map(self._need(root, "source"), "source", root, "source")
        kind = source.get("kind")
        if kind not in _SOURCE_KEYS:
            raise self._wrong("source.kind is unknown", "sql or csv", source, "kind")
        self._known(source, _SOURCE_KEYS[str(kind)])
        columns = self._columns(root, dataset)
        soft, values = self._deletes(root, dataset)
        shared: dict[str, Any] = {
            "file": str(self._file),
            "dataset": dataset.id,
            "kind": kind,
            "columns": columns,
            "ignore": self._ignore(root, columns, soft),
            "row_id": self._text(source, "row_id") if "row_id" in source else "",
            "zone": self._zone(root),
            "deletes": root["deletes"],
            "soft_delete": soft,
            "soft_delete_values": values,
        }
        if kind == "csv":
            full = self._full(source, str(root["deletes"]))
            return [
                Mapping(
                    **shared,
                    name=self._text(source, "name"),
                    folder=self._folder,
                    pattern=self._text(source, "files"),
                    encoding=self._encoding(source),
                    full=full,
                )
            ]
        cursor = self._text(source, "cursor")
        if cursor not in {column.name for column in columns}:
            raise self._wrong("the cursor is no mapped column", "map it", source, "cursor")
        shared |= {
            "table": self._text(source, "table"),
            "cursor": cursor,
            "cursor_format": self._cursor_format(source),
            "compare": self._compare(source),
        }
        shared |= {"folder": self._folder, "pattern": str(source.get("files") or "")}
        return [Mapping(**shared, name=name, url=url) for name, url in self._databases(source)]

    def _cursor_format(self, source: Any) -> str:
        """How the cursor is written; text that is compared must sort as the times do."""
        form = str(source.get("cursor_format") or "")
        parts = "".join(re.findall("%(.)", form.replace("%%", "")))
        if not any(order.startswith(parts) for order in _SORTING):
            raise self._wrong(
                f"times written as {form} do not sort",
                "year, month, day, hour, minute, second in that order, in digits",
                source,
                "cursor_format",
            )
        return form

    def _databases(self, source: Any) -> list[tuple[str, str]]:
        name = self._text(source, "name")
        if source.get("url"):
            return [(name, str(source["url"]))]
        pattern = self._text(source, "files")
        found = sorted(path for path in self._folder.glob(pattern) if path.is_file())
        if not found:
            return [(name, "")]
        if len(found) > 1 and "{stem}" not in name:
            raise self._wrong(
                "several databases, one name", "put {stem} into source.name", source, "name"
            )
        return [
            (
                name.replace("{stem}", shown_name(Path(path.stem))),
                f"sqlite:///file:{path.resolve()}?mode=ro&uri=true",
            )
            for path in found
        ]

    def _dataset(self, root: Any, catalog: Catalog) -> Dataset:
        try:
            return catalog.dataset(self._text(root, "dataset"))
        except CatalogError as error:
            raise self._wrong(error.what, error.mend, root, "dataset") from None

    def _columns(self, root: Any, dataset: Dataset) -> tuple[Column, ...]:
        node = self._map(self._need(root, "columns"), "columns", root, "columns")
        columns: list[Column] = []
        for name, body in node.items():
            form = {"item": body} if isinstance(body, str) else self._map(body, name, node, name)
            for key in form:
                if key not in ("item", "codes", "format"):
                    raise self._wrong(f"unknown word {key!r}", "item, codes, format", form, key)
            item = dataset.by_name.get(str(form.get("item")))
            if item is None:
                raise self._wrong(
                    f"{dataset.id} has no item {form.get('item')!r}",
                    f"one of: {', '.join(dataset.by_name)}",
                    node,
                    name,
                )
            if any(column.item == item.name for column in columns):
                raise self._wrong(f"{item.name} has two columns", "keep one", node, name)
            codes = form.get("codes")
            if codes is not None and not isinstance(codes, dict):
                raise self._wrong("codes is no mapping", "source code: our code", node, name)
            pattern = str(form.get("format") or "")
            if item.logical in _DATED and not pattern:
                pattern = "%Y-%m-%d" if item.logical == "date" else "%Y-%m-%d %H:%M:%S"
            if pattern and not _readable(pattern):
                what = f"the format {pattern!r} reads no date"
                raise self._wrong(what, "as strptime wants it, e.g. %Y-%m-%d", node, name)
            columns.append(
                Column(
                    str(name),
                    item.name,
                    {str(key): str(value) for key, value in codes.items()} if codes else None,
                    pattern,
                )
            )
        missing = [name for name in dataset.by_name if name not in {c.item for c in columns}]
        if missing:
            raise self._wrong(
                f"items without a column: {', '.join(missing)}", "map each", root, "columns"
            )
        return tuple(columns)

    def _deletes(self, root: Any, dataset: Dataset) -> tuple[str, tuple[str, ...]]:
        mode = self._text(root, "deletes")
        if mode not in _MODES:
            raise self._wrong(
                f"unknown deletes {mode!r}", f"one of: {', '.join(_MODES)}", root, "deletes"
            )
        if mode != dataset.deletes:
            raise self._wrong(
                f"the catalogue says that deletes of {dataset.id} are seen by {dataset.deletes}",
                "write `deletes: soft_delete` and `soft_delete: {column: …, values: […]}`"
                if dataset.deletes == "soft_delete"
                else "make mapping and schema equal",
                root,
                "deletes",
            )
        if mode != "soft_delete":
            return "", ()
        soft = self._map(self._need(root, "soft_delete"), "soft_delete", root, "soft_delete")
        values = soft.get("values")
        if not isinstance(values, list) or not values:
            raise self._wrong("soft_delete.values is no list", "list them", soft, "values")
        return self._text(soft, "column"), tuple(str(value) for value in values)

    def _full(self, source: Any, mode: str) -> bool:
        full = source.get("full", False)
        if not isinstance(full, bool):
            raise self._wrong("source.full is neither true nor false", "true", source, "full")
        if full != (mode == "key_diff"):
            raise self._wrong(
                "`full: true` and `deletes: key_diff` go together: a file that is the whole "
                "shows what is gone",
                "state both, or neither",
                source,
                "full" if full else None,
            )
        return full

    def _compare(self, source: Any) -> timedelta:
        hours = source.get("compare_hours")
        if hours is None:
            return _COMPARE
        if isinstance(hours, bool) or not isinstance(hours, (int, float)) or hours <= 0:
            raise self._wrong(
                "source.compare_hours is no number of hours", "e.g. 24", source, "compare_hours"
            )
        return timedelta(hours=hours)

    def _ignore(self, root: Any, columns: tuple[Column, ...], soft: str) -> tuple[str, ...]:
        node = root.get("ignore") or []
        if not isinstance(node, list):
            raise self._wrong("ignore is no list", "list the columns", root, "ignore")
        mapped = {column.name for column in columns} | {soft}
        for index, name in enumerate(node):
            if name in mapped or name in node[:index]:
                raise self._wrong(f"column {name} is named twice", "keep one", node, index)
        return tuple(str(name) for name in node)

    def _zone(self, root: Any) -> ZoneInfo:
        try:
            return ZoneInfo(self._text(root, "timezone"))
        except (ZoneInfoNotFoundError, ValueError):
            raise self._wrong(
                "unknown time zone", "e.g. Asia/Shanghai or UTC", root, "timezone"
            ) from None

    def _encoding(self, source: Any) -> str:
        name = str(source.get("encoding") or "")
        if name.lower() not in ("", "utf-8", "gb18030", "gbk"):
            raise self._wrong(
                f"unknown encoding {name!r}",
                "utf-8 or gb18030, or leave it out",
                source,
                "encoding",
            )
        return "gb18030" if name.lower() == "gbk" else name.lower()

    def _text(self, node: Any, key: str) -> str:
        value = self._need(node, key)
        if not isinstance(value, str) or not value:
            raise self._wrong(f"{key} is no text", f"write {key}: …", node, key)
        return str(value)

    def _need(self, node: Any, key: str) -> Any:
        if node.get(key) is None:
            raise self._wrong(f"{key} is missing", f"add {key}", node)
        return node[key]

    def _map(self, node: Any, name: object, above: Any, key: object = None) -> Any:
        if not isinstance(node, dict):
            raise self._wrong(f"{name} is no mapping", "write `key: value` lines", above, key)
        return node

    def _known(self, node: Any, known: set[str]) -> None:
        for key in node:
            if key not in known:
                raise self._wrong(
                    f"unknown word {key!r}", f"one of: {', '.join(sorted(known))}", node, key
                )

    def _wrong(self, what: str, mend: str, node: Any, key: object = None) -> MappingError:
        return MappingError(what, where=f"{self._file}:{line_of(node, key)}", mend=mend)
