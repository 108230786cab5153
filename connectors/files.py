"""CSV drops 文件投递: files that a department puts into a folder.

Law: a file is taken once, by content. The encoding is the configured one, else a BOM,
else strict UTF-8, else strict GB18030; never a guess. A file that is still being
written waits. A wrong line is handed over with its number; the file goes on.

Position: the digests of the files taken whole, and of the one being read, how many of
its lines. Lines that share a key are handed over together at the end of their file.
"""

import csv
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from broker.errors import SourceError
from connectors.mapping import Mapping
from connectors.source import MAX_VALUE, Fault, Row, RowBatch

_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
_CHUNK = 1 << 20
csv.field_size_limit(4 * MAX_VALUE)


@dataclass(frozen=True, slots=True)
class _Drop:
    """A file to read: its digest, encoding and, on a second start, the lines behind us."""

    path: Path
    digest: str
    encoding: str
    done: int


class CsvDrops:
    """The drops of one mapping, as a `Source`."""

    def __init__(self, mapping: Mapping, keys: tuple[str, ...], settle: timedelta) -> None:
        self.name = mapping.name
        self._mapping = mapping
        self._keys = tuple(mapping.column_of(item) for item in keys)
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
        with path.open("rb") as file:
            head = file.read(3)
        if head == b"\xef\xbb\xbf":
            return "utf-8-sig"
        if self._mapping.encoding:
            return self._mapping.encoding
        for name in ("utf-8", "gb18030"):
            if _decodes(path, name):
                return name
        raise SourceError(
            "the encoding cannot be told: neither UTF-8 nor GB18030 throughout",
            where=path.name,
            mend="state source.encoding in the mapping",
        )

    def _read(self, drop: _Drop, taken: list[str], limit: int) -> Iterator[RowBatch]:
        repeated = self._repeated(drop)
        rows: list[Row] = []
        held: list[Row] = []
        line = 0
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
        if row.fault is not None:
            return None
        text = "\x1f".join(str(row.cells[name]).strip() for name in self._keys)
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=12).digest()

    def _rows(self, drop: _Drop) -> Iterator[tuple[Row, int]]:
        """Every row with the number of its last line."""
        with drop.path.open(encoding=drop.encoding, errors="surrogateescape", newline="") as file:
            lines = _Lines(file)
            reader = csv.reader(lines)
            header = self._header(drop, next(reader, []))
            while True:
                first = lines.number + 1
                lines.kept.clear()
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    cells = []
                    fault: Fault | None = Fault(
                        "unreadable_row", "", "look for an unclosed quotation mark"
                    )
                else:
                    if not cells:
                        continue
                    fault = _width_fault(len(cells), len(header))
                raw = "".join(lines.kept).encode(drop.encoding, "surrogateescape")
                named = dict(zip(header, cells, strict=False)) if fault is None else {}
                yield Row(f"{drop.path.name}:{first}", named, raw, fault=fault), lines.number

    def _header(self, drop: _Drop, names: list[str]) -> list[str]:
        names = [name.strip() for name in names]
        difference = column_difference(names, self._mapping.expected)
        if difference:
            raise SourceError(
                f"the header differs from the mapping: {difference}",
                where=f"{drop.path.name}:1",
                mend=f"mend the file, or {self._mapping.file}; nothing of the file was taken",
            )
        return names


class _Lines:
    """The lines of a file; counts them and keeps those of the row being read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = 0
        self.kept: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.kept.append(line)
        return line


def column_difference(found: list[str], expected: tuple[str, ...]) -> str:
    """Missing, unknown and repeated columns in words; empty where there are none."""
    unknown = [_printable(name) for name in found if name not in expected]
    if len(unknown) * 2 > len(found):  # a row of data where the header should be
        unknown = [f"{len(unknown)} names, not shown, as they may be data"]
    twice = [name for name, times in Counter(found).items() if times > 1]
    parts = (
        ("missing", [name for name in expected if name not in found]),
        ("unknown", unknown),
        ("twice", [name for name in twice if name in expected]),
    )
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)


def _printable(name: str) -> str:
    """A column's name as a message may show it: data that stands where a header should is cut."""
    clean = "".join(c if c.isprintable() and not c.isdigit() else "·" for c in name)
    return clean if len(clean) <= 24 else f"{clean[:24]}…"


def _width_fault(found: int, expected: int) -> Fault | None:
    if found == expected:
        return None
    few = "too_few_cells" if found < expected else "too_many_cells"
    return Fault(few, "", f"the line has {found} cells, the header {expected}")


def _whole_file(path: Path, reason: str, mend: str) -> Row:
    return Row(path.name, {}, path.name.encode(), fault=Fault(reason, "", mend))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if path.stat().st_size == 0:
        digest.update(path.name.encode())
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
