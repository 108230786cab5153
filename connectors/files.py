"""CSV drops 文件投递: files that a department puts into a folder.

Law: the encoding is the configured one, else a BOM, else strict UTF-8, else strict GB18030;
never a guess. A wrong line is handed over with its number; the file goes on. A file's name is
shown without its long numbers: they may be somebody's. The rows of a correction stand for
those that came with the file it corrects; what it takes away and another file gives stays.

Position: the digests of the files taken whole, those of their names, and of the one being
read, how many of its lines. Lines that share a key are handed over together at the end of
their file.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from broker.errors import SourceError
from connectors.csv_lines import LINE_BREAK, STRAY_QUOTE, TOO_LONG, Line, read_lines
from connectors.drops import CHUNK, Drop, Folder, Position
from connectors.mapping import Mapping
from connectors.names import column_difference, shown_name
from connectors.source import Fault, Row, RowBatch, Whole

_MEND = {
    STRAY_QUOTE: "close the quotation mark, or double it inside a cell",
    LINE_BREAK: "write the cell on one line, or close the quotation mark of the first line",
    TOO_LONG: "shorten it to 1 MB, or ask for another item",
}


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
        self._folder = Folder(mapping, settle.total_seconds())

    def check(self) -> None:
        """See `Source`: the folder must be there; each header is compared when it is read."""
        parts = Path(self._mapping.pattern).parent.parts
        parent = self._mapping.folder.joinpath(
            *takewhile(lambda part: not set(part) & set("*?["), parts)
        )
        if not parent.is_dir():
            raise SourceError(
                "the folder of the drops is missing", where=str(parent), mend="make it"
            )

    def total(self) -> int | None:
        """See `Source`."""
        return None

    def behind(self, after: bytes | None) -> int:
        """See `Source`: lines of files that are there and not taken."""
        position = Position.read(after)
        with _readable():
            return sum(
                max(0, _lines(drop.path) - 1 - (position.line * (position.reading == drop.digest)))
                for drop in self._folder.new(position)
            )

    def batches(self, after: bytes | None, limit: int, again: bool = False) -> Iterator[RowBatch]:
        """See `Source`."""
        kept = Position.read(after)
        position = replace(kept, reading="") if again else kept
        with _readable():
            for drop in self._folder.new(position, again):
                for batch in self._take(drop, position, limit):
                    yield batch
                    position = Position.read(batch.position)
            if position.fills:
                yield from self._fill(position, limit)

    def _fill(self, position: Position, limit: int) -> Iterator[RowBatch]:
        """What corrections took away and files that stand give; in one pass behind them all."""
        for drop in self._folder.current(position):
            try:
                for part in self._parts(replace(drop, encoding=self._encoding(drop.path)), limit):
                    yield RowBatch(part, position.write(), drop.name, fills=True)
            except SourceError:
                mend = "drop it again with the columns as they are now"
                row = _whole_file(drop.path, "not_read_again", mend)
                yield RowBatch([row], position.write(), drop.name)
        yield RowBatch([], replace(position, fills=False).write(), fills=True)

    def _take(self, drop: Drop, position: Position, limit: int) -> Iterator[RowBatch]:
        """The batches of one file."""
        path = drop.path
        if path.stat().st_size == 0:
            row = _whole_file(path, "empty_file", "drop the file again, with its header")
            after = position if self._mapping.full else position.after(drop)
            yield RowBatch([row], after.write())
        elif drop.late:
            mend = f"does it replace? Name it {drop.late}; does it add? Give it another name"
            row = _whole_file(path, "corrected_already", mend)
            yield RowBatch([row], position.write(), drop.name)
        elif drop.replaces and not self._folder.is_known(drop, position):
            mend = "name it like the file that it corrects; that one was never dropped here"
            row = _whole_file(path, "replaces_nothing", mend)
            yield RowBatch([row], position.write(), drop.name)
        else:
            done = position.line if position.reading == drop.digest else 0
            drop = replace(drop, encoding=self._encoding(path), done=done)
            yield from self._read(drop, position, limit)

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

    def _read(self, drop: Drop, position: Position, limit: int) -> Iterator[RowBatch]:
        """The rows of one file. One that is the whole, or a correction, is read in one go."""
        whole = None
        if self._mapping.full or drop.replaces:
            whole = Whole(last=False, deletes=True, file="" if self._mapping.full else drop.name)
            drop = replace(drop, done=0)
            yield from self._ahead(drop, position, whole, limit)
        repeated = self._repeated(drop)
        rows: list[Row] = []
        held: list[Row] = []
        for row, line in self._rows(drop):
            if repeated and self._key(row) in repeated:
                held.append(row)
            elif line > drop.done:
                rows.append(row)
            if len(rows) >= limit:
                reached = replace(position, reading=drop.digest, line=line)
                reached = position if whole else reached
                yield RowBatch(rows, reached.write(), drop.name, whole)
                rows = []
        last = replace(whole, last=True) if whole else None
        yield RowBatch([*rows, *held], position.after(drop).write(), drop.name, last)

    def _ahead(
        self, drop: Drop, position: Position, whole: Whole, limit: int
    ) -> Iterator[RowBatch]:
        """Every row of a file, to be looked at."""
        ahead = replace(whole, ahead=True)
        for part in self._parts(drop, limit):
            yield RowBatch(part, position.write(), drop.name, ahead)
        yield RowBatch([], position.write(), drop.name, replace(ahead, last=True))

    def _parts(self, drop: Drop, limit: int) -> Iterator[list[Row]]:
        """Every row of a file, `limit` at a time."""
        rows = self._rows(drop)
        while part := [row for row, _ in islice(rows, limit)]:
            yield part

    def _repeated(self, drop: Drop) -> frozenset[bytes]:
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

    def _rows(self, drop: Drop) -> Iterator[tuple[Row, int]]:
        """Every row with the number of its line."""
        name, encoding = shown_name(drop.path), drop.encoding.removesuffix("-sig")
        with drop.path.open(encoding=drop.encoding, errors="surrogateescape", newline="") as file:
            lines = read_lines(file)
            header = self._header(name, next(lines, Line(1, "", [])))
            for line in lines:
                fault = _fault(line, len(header))
                cells = dict(zip(header, line.cells, strict=True)) if fault is None else {}
                raw = line.text.encode(encoding, "surrogateescape")
                deleted = bool(cells) and self._mapping.is_deleted(cells)
                row_id = self._mapping.id_of(cells)
                where = f"{name}:{line.number}"
                yield Row(where, cells, raw, deleted, fault, row_id), line.number

    def _header(self, name: str, line: Line) -> list[str]:
        names = [cell.strip() for cell in line.cells]
        difference = _MEND.get(line.fault) or column_difference(names, self._mapping.expected)
        if difference:
            none = not set(names) & set(self._mapping.expected)
            encoding = "is it in another encoding than source.encoding says? " if none else ""
            raise SourceError(
                f"the header differs from the mapping: {difference}",
                where=f"{name}:{line.number}",
                mend=f"{encoding}mend the file, or {self._mapping.file}; "
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


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as file:
            while file.read(CHUNK):
                continue
    except UnicodeDecodeError:
        return False
    return True


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK), b""))


@contextmanager
def _readable() -> Iterator[None]:
    """A file that cannot be read is the source's error."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"a file cannot be read ({error.strerror})",
            where=shown_name(Path(error.filename or "")),
            mend="put it back, or mend its rights; what was read before stands",
        ) from None
