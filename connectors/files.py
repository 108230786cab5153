"""CSV drops 文件投递: files that a department puts into a folder.

Law: a file is taken once, by content. The encoding is the configured one, else a BOM,
else strict UTF-8, else strict GB18030; never a guess. A file that is still being
written waits. A wrong line is handed over with its number; the file goes on. A file's
name is shown without its long numbers: they may be somebody's.

Position: the digests of the files taken whole, and of the one being read, how many of
its lines. Lines that share a key are handed over together at the end of their file.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from broker.errors import SourceError
from connectors.csv_lines import LINE_BREAK, STRAY_QUOTE, TOO_LONG, Line, read_lines
from connectors.mapping import Mapping
from connectors.names import column_difference, shown_name
from connectors.source import Fault, Row, RowBatch

_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
_CHUNK = 1 << 20
_MEND = {
    STRAY_QUOTE: "close the quotation mark, or double it inside a cell",
    LINE_BREAK: "write the cell on one line, or close the quotation mark of the first line",
    TOO_LONG: "shorten it to 1 MB, or ask for another item",
}


@dataclass(frozen=True, slots=True)
class _Drop:
    """A file to read: its digest, encoding and, on a second start, the lines behind us."""

    path: Path
    digest: str
    encoding: str
    done: int


class CsvDrops:
    """The drops of one mapping, as a `Source`."""

    def __init__(
        self,
        mapping: Mapping,
        key: Callable[[Map[str, Any]], Map[str, Any] | None],
        settle: timedelta,
    ) -> None:
        """`key` gives the primary key of a row's cells; None where it cannot be read."""
        self.name = mapping.name
        self._mapping = mapping
        self._key_of = key
        self._settle = settle.total_seconds()

    def check(self) -> None:
        """See `Source`: the folder must be there; each header is compared when it is read."""
        parent = (self._mapping.folder / self._mapping.pattern).parent
        if not parent.is_dir():
            raise SourceError(
                "the folder of the drops is missing", where=str(parent), mend="make it"
            )

    def total(self) -> int | None:
        """See `Source`."""
        return None

    def batches(self, after: bytes | None, limit: int) -> Iterator[RowBatch]:
        """See `Source`."""
        try:
            yield from self._batches(after, limit)
        except OSError as error:
            raise SourceError(
                f"a file cannot be read ({error.strerror})",
                where=shown_name(Path(error.filename or "")),
                mend="put it back, or mend its rights; what was read before stands",
            ) from None

    def _batches(self, after: bytes | None, limit: int) -> Iterator[RowBatch]:
        state = json.loads(after) if after else {"taken": []}
        taken: list[str] = list(state["taken"])
        for path in self._finished():
            digest = _digest(path)
            if digest in taken:
                continue
            done = state["line"] if state.get("reading") == digest else 0
            if path.stat().st_size == 0:
                rows = [_whole_file(path, "empty_file", "drop the file again, with its header")]
                taken.append(digest)
                yield RowBatch(rows, _position(taken))
                continue
            drop = _Drop(path, digest, self._encoding(path), done)
            yield from self._read(drop, taken, limit)
            taken.append(digest)

    def _finished(self) -> list[Path]:
        now = time.time()
        return sorted(
            path
            for path in self._mapping.folder.glob(self._mapping.pattern)
            if path.is_file()
            and path.suffix.lower() not in _UNFINISHED
            and now - path.stat().st_mtime >= self._settle
        )

    def _encoding(self, path: Path) -> str:
        if self._mapping.encoding:
            return "utf-8-sig" if self._mapping.encoding == "utf-8" else self._mapping.encoding
        with path.open("rb") as file:
            head = file.read(3)
        if head == b"\xef\xbb\xbf":
            return "utf-8-sig"
        for name in ("utf-8", "gb18030"):
            if _decodes(path, name):
                return name
        raise SourceError(
            "the encoding cannot be told: neither UTF-8 nor GB18030 throughout",
            where=shown_name(path),
            mend="state source.encoding in the mapping",
        )

    def _read(self, drop: _Drop, taken: list[str], limit: int) -> Iterator[RowBatch]:
        repeated = self._repeated(drop)
        rows: list[Row] = []
        held: list[Row] = []
        for row, line in self._rows(drop):
            if repeated and self._key(row) in repeated:
                held.append(row)
            elif line > drop.done:
                rows.append(row)
            if len(rows) >= limit:
                yield RowBatch(rows, _position(taken, drop.digest, line))
                rows = []
        yield RowBatch([*rows, *held], _position([*taken, drop.digest]))

    def _repeated(self, drop: _Drop) -> frozenset[bytes]:
        """The keys that more than one line of the file has."""
        seen: Counter[bytes] = Counter(
            key for row, _ in self._rows(drop) if (key := self._key(row)) is not None
        )
        return frozenset(key for key, times in seen.items() if times > 1)

    def _key(self, row: Row) -> bytes | None:
        key = self._key_of(row.cells) if row.fault is None else None
        if key is None:
            return None
        text = "\x1f".join(str(value) for value in key.values())
        return hashlib.blake2b(text.encode(), digest_size=12).digest()

    def _rows(self, drop: _Drop) -> Iterator[tuple[Row, int]]:
        """Every row with the number of its line."""
        name, encoding = shown_name(drop.path), drop.encoding.removesuffix("-sig")
        with drop.path.open(encoding=drop.encoding, errors="surrogateescape", newline="") as file:
            lines = read_lines(file)
            header = self._header(name, next(lines, Line(1, "", [])))
            for line in lines:
                fault = _fault(line, len(header))
                cells = dict(zip(header, line.cells, strict=True)) if fault is None else {}
                raw = line.text.encode(encoding, "surrogateescape")
                yield Row(f"{name}:{line.number}", cells, raw, fault=fault), line.number

    def _header(self, name: str, line: Line) -> list[str]:
        names = [cell.strip() for cell in line.cells]
        difference = _MEND.get(line.fault) or column_difference(names, self._mapping.expected)
        if difference:
            raise SourceError(
                f"the header differs from the mapping: {difference}",
                where=f"{name}:{line.number}",
                mend=f"mend the file, or {self._mapping.file}; "
                "nothing of it, nor of the files after it, was taken",
            )
        return names


def _fault(line: Line, width: int) -> Fault | None:
    if line.fault:
        return Fault(line.fault, "", _MEND[line.fault])
    found = len(line.cells)
    if found == width:
        return None
    few = "too_few_cells" if found < width else "too_many_cells"
    return Fault(few, "", f"the line has {found} cells, the header {width}")


def _whole_file(path: Path, reason: str, mend: str) -> Row:
    return Row(shown_name(path), {}, os.fsencode(path.name), fault=Fault(reason, "", mend))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if path.stat().st_size == 0:
        digest.update(os.fsencode(path.name))
    return digest.hexdigest()[:32]


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as file:
            while file.read(_CHUNK):
                continue
    except UnicodeDecodeError:
        return False
    return True


def _position(taken: list[str], reading: str = "", line: int = 0) -> bytes:
    state = {"taken": taken, "reading": reading, "line": line} if reading else {"taken": taken}
    return json.dumps(state).encode()
