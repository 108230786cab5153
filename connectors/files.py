"""CSV drops 文件投递: files that a department puts into a folder.

Law: a file is taken once, by content. The encoding is the configured one, else a BOM,
else strict UTF-8, else strict GB18030; never a guess. A file that is still being
written waits. A wrong line is handed over with its number; the file goes on. A file's
name is shown without its long numbers: they may be somebody's. `X.更正.csv` (`X.corrected.csv`,
and with a number the next ones) replaces `X.csv`: its rows stand for those that came with it.
Where every file is the whole, the last by name counts and those before it do not.

Position: the digests of the files taken whole, those of their names, and of the one being
read, how many of its lines. Lines that share a key are handed over together at the end of
their file.
"""

import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from broker.errors import SourceError
from connectors.csv_lines import LINE_BREAK, STRAY_QUOTE, TOO_LONG, Line, read_lines
from connectors.mapping import Mapping
from connectors.names import column_difference, shown_name
from connectors.source import Fault, Row, RowBatch, Whole

_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
_CHUNK = 1 << 20
_CORRECTED = re.compile(r"(?P<stem>.+)[.\-_](?:更正|corrected)(?P<number>[0-9]{0,3})")
_MEND = {
    STRAY_QUOTE: "close the quotation mark, or double it inside a cell",
    LINE_BREAK: "write the cell on one line, or close the quotation mark of the first line",
    TOO_LONG: "shorten it to 1 MB, or ask for another item",
}


@dataclass(frozen=True, slots=True)
class _Drop:
    """A file to read. `replaces` is the file that it corrects, `name` the name of that or its
    own; `done` are the lines behind us on a second start."""

    path: Path
    digest: str
    name: str
    replaces: bool
    encoding: str = ""
    done: int = 0


@dataclass(frozen=True, slots=True)
class _Position:
    """What was taken: digests of files, of their names, of the one being read and its lines."""

    taken: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    reading: str = ""
    line: int = 0

    def write(self) -> bytes:
        """As the runner keeps it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, position: bytes | None) -> "_Position":
        """From what the runner kept; the beginning where that is nothing."""
        kept = json.loads(position) if position else {}
        lists = {key: tuple(kept.get(key, ())) for key in ("taken", "names")}
        return cls(**lists, reading=kept.get("reading", ""), line=kept.get("line", 0))

    def after(self, drop: _Drop) -> "_Position":
        """With that file taken."""
        taken = tuple(one for one in self.taken if one != drop.digest)
        names = tuple(one for one in self.names if one != _short(drop.name))
        return _Position((*taken, drop.digest), (*names, _short(drop.name)))


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
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}

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
        position = _Position.read(after)
        with _readable():
            return sum(
                max(0, _lines(drop.path) - 1 - (position.line * (position.reading == drop.digest)))
                for drop in self._new(position)
            )

    def batches(self, after: bytes | None, limit: int, again: bool = False) -> Iterator[RowBatch]:
        """See `Source`."""
        kept = _Position.read(after)
        position = replace(kept, taken=(), reading="") if again else kept
        with _readable():
            for drop in self._new(position):
                for batch in self._take(drop, position, limit):
                    yield batch
                    position = _Position.read(batch.position)

    def _new(self, position: _Position) -> list[_Drop]:
        """The files to read, in the order of their names."""
        paths = self._finished()
        if self._mapping.full:
            last = [self._drop(path) for path in paths[-1:]]
            return [one for one in last if (one.digest,) != position.taken[-1:]]
        # of a file and its corrections the last one counts
        last_of = {drop.name: drop for drop in map(self._drop, paths)}
        return [drop for drop in last_of.values() if drop.digest not in position.taken]

    def _drop(self, path: Path) -> _Drop:
        name, number = _corrects(path)
        return _Drop(path, self._digest(path), self._name(path, name), number > 0)

    def _name(self, path: Path, name: str) -> str:
        return str(path.relative_to(self._mapping.folder).with_name(name))

    def _digest(self, path: Path) -> str:
        """The digest of a file's content, computed again where the file looks changed."""
        state = path.stat()
        seen = (state.st_size, state.st_mtime_ns, state.st_ino)
        known = self._digests.get(path)
        if known is None or known[0] != seen:
            known = self._digests[path] = seen, _digest(path)
        return known[1]

    def _take(self, drop: _Drop, position: _Position, limit: int) -> Iterator[RowBatch]:
        """The batches of one file."""
        path = drop.path
        if path.stat().st_size == 0:
            row = _whole_file(path, "empty_file", "drop the file again, with its header")
            yield RowBatch([row], position.after(drop).write())
        elif drop.replaces and not self._mapping.full and not self._is_known(drop, position):
            mend = "name it like the file that it corrects; that one was never dropped here"
            yield RowBatch([_whole_file(path, "replaces_nothing", mend)], position.write())
        else:
            done = position.line if position.reading == drop.digest else 0
            drop = replace(drop, encoding=self._encoding(path), done=done)
            yield from self._read(drop, position, limit)

    def _is_known(self, drop: _Drop, position: _Position) -> bool:
        """Whether the file that this one corrects is there, or was taken."""
        there = any(self._name(one, one.name) == drop.name for one in self._finished())
        return there or _short(drop.name) in position.names

    def _finished(self) -> list[Path]:
        """The files that are no longer written to; a correction after what it corrects."""
        now = time.time()
        return sorted(
            (
                path
                for path in self._mapping.folder.glob(self._mapping.pattern)
                if path.is_file()
                and path.suffix.lower() not in _UNFINISHED
                and now - path.stat().st_mtime >= self._settle
            ),
            key=lambda path: (path.parent, *_corrects(path)),
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

    def _read(self, drop: _Drop, position: _Position, limit: int) -> Iterator[RowBatch]:
        """The rows of one file. One that is the whole, or a correction, is read in one go."""
        whole = None
        if self._mapping.full or drop.replaces:
            whole = Whole(last=False, deletes=True, file="" if self._mapping.full else drop.name)
            drop = replace(drop, done=0)
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
                deleted = bool(cells) and self._mapping.is_deleted(cells)
                row_id = self._mapping.id_of(cells)
                where = f"{name}:{line.number}"
                yield Row(where, cells, raw, deleted, fault, row_id), line.number

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


def _corrects(path: Path) -> tuple[str, int]:
    """The name of the file that this one corrects, and which correction it is; its own and 0
    where it corrects none."""
    found = _CORRECTED.fullmatch(path.stem)
    if found is None:
        return path.name, 0
    return f"{found['stem']}{path.suffix}", int(found["number"] or 1)


def _short(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


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
