"""Which dropped files are to be read, and in what order.

Law: a file is taken once, by content, a correction by name and content; one that is still
being written waits. `X.更正.csv` (`X.corrected.csv`, and with a number the next ones) replaces
`X.csv`; of a file and its corrections the last counts, and those before it never again. What
comes under a corrected name afterwards is told, not read. Where every file is the whole, the
last by name counts and those before it do not; one that was replaced already does not come
back because its successor is gone. Numbers in names count as people count: 9 is before 10.
"""

import hashlib
import json
import os
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from broker.errors import SourceError
from connectors.mapping import Mapping
from connectors.names import shown_name

_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
CHUNK = 1 << 20
_CORRECTED = re.compile(r"(?P<stem>.+)[.\-_](?:更正|corrected)(?P<number>[0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Drop:
    """A file to read. `name` is its own, or of the file that it `replaces`, as the correction of
    that `number`; `digest` is what it is known by. `covers` is what stands no more once it is
    taken. `late` is the name to give to one that came when its name was corrected already.
    `done` are the lines behind us on a second start."""

    path: Path
    digest: str
    name: str
    number: int
    covers: tuple["Drop", ...] = ()
    late: str = ""
    encoding: str = ""
    done: int = 0

    @property
    def replaces(self) -> bool:
        """Whether it is a correction."""
        return self.number > 0

    @property
    def mark(self) -> str:
        """What it is known by once it stands no more: the same content may come anew under
        another name."""
        return f"{self.digest}.{_short(self.name)}"


@dataclass(frozen=True, slots=True)
class Position:
    """What was read: digests of files, the names that were taken, the marks of those that a
    correction covers, the last correction of each name, the file being read and its lines.
    `fills`: something was taken away that other files may give."""

    taken: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    corrected: dict[str, int] = field(default_factory=dict)
    reading: str = ""
    line: int = 0
    fills: bool = False

    def write(self) -> bytes:
        """As the runner keeps it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, position: bytes | None) -> "Position":
        """From what the runner kept; the beginning where that is nothing."""
        kept: dict[str, Any] = json.loads(position) if position else {}
        lists = {key: tuple(kept.get(key, ())) for key in ("taken", "names", "covered")}
        return cls(**{**kept, **lists})

    def after(self, drop: Drop) -> "Position":
        """With that file taken."""
        gone = {drop.digest, *(one.digest for one in drop.covers)}
        marks = [one.mark for one in drop.covers]
        return Position(
            taken=(*(one for one in self.taken if one not in gone), drop.digest),
            names=(*(one for one in self.names if one != _short(drop.name)), _short(drop.name)),
            covered=(*(one for one in self.covered if one not in marks), *marks),
            corrected=self.corrected
            | ({_short(drop.name): max(drop.number, self.last(drop))} if drop.replaces else {}),
            fills=self.fills or drop.replaces,
        )

    def last(self, drop: Drop) -> int:
        """The last correction of that file's name that was taken; 0 where none was."""
        return self.corrected.get(_short(drop.name), 0)

    def stands(self, drop: Drop) -> bool:
        """Whether no later correction, and no other, has taken a file's place."""
        return drop.number >= self.last(drop) and drop.mark not in self.covered


class Folder:
    """The drops of one mapping. A file must have lain `settle` seconds."""

    def __init__(self, mapping: Mapping, settle: float) -> None:
        self._mapping = mapping
        self._settle = settle
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def new(self, position: Position, again: bool = False) -> list[Drop]:
        """The files to read, in the order of their names; `again`: those that were read too."""
        if self._mapping.full:
            newest = self._finished()[-1:]
            return [drop for path in newest for drop in self._newest(path, position, again)]
        found = []
        for some in self._by_name():
            *before, drop = some
            corrects = drop.number > position.last(drop)  # whatever is there now
            late = [] if corrects else [one for one in some if _is_late(one, position)]
            covers = tuple(one for one in before if one not in late)
            if position.stands(drop) and (again or drop.digest not in position.taken):
                found.append(replace(drop, covers=covers))
            found += (replace(one, late=_next_name(one, position)) for one in late)
        return found

    def current(self, position: Position) -> list[Drop]:
        """The files that stand: read, and not covered."""
        last = [some[-1] for some in self._by_name()]
        return [drop for drop in last if drop.digest in position.taken and position.stands(drop)]

    def _by_name(self) -> list[list[Drop]]:
        """Every file with its corrections, the last of them at the end."""
        by_name: dict[str, list[Drop]] = {}
        for path in self._finished():
            name, number = _corrects(path)
            digest = self._digest(path)
            if number:
                digest = f"{digest}.{_short(path.name)}"
            drop = Drop(path, digest, self._name(path, name), number)
            by_name.setdefault(drop.name, []).append(drop)
        return list(by_name.values())

    def _newest(self, path: Path, position: Position, again: bool) -> list[Drop]:
        """The newest of the files that are each the whole, unless it is the one read last."""
        drop = Drop(path, self._digest(path), self._name(path, path.name), number=0)
        name = _short(drop.name)
        if (position.taken[-1:], position.names[-1:]) == ((drop.digest,), (name,)):
            return [drop] if again else []
        if drop.digest in position.taken and name in position.names[:-1]:
            raise SourceError(
                "the newest file is one that another has replaced, which is gone",
                where=shown_name(path),
                mend="bring the newest back, or drop this one again under a name that comes last",
            )
        return [drop]

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

    def is_known(self, drop: Drop, position: Position) -> bool:
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
            key=_order,
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if path.stat().st_size == 0:
        digest.update(os.fsencode(path.name))
    return digest.hexdigest()[:32]


def _corrects(path: Path) -> tuple[str, int]:
    """The name of the file that this one corrects, and which correction it is; its own and 0
    where it corrects none."""
    found = _CORRECTED.fullmatch(path.stem)
    if found is None:
        return path.name, 0
    return f"{found['stem']}{path.suffix}", int(found["number"] or 1)


def _order(path: Path) -> tuple[Path, list[tuple[int, str]], int]:
    """Where a file stands among the others."""
    name, number = _corrects(path)
    return path.parent, _counted(name), number


def _counted(name: str) -> list[tuple[int, str]]:
    """A name as people order it: by the value of the numbers in it."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(one), "") if one.isdigit() and one.isascii() else (-1, one) for one in parts]


def _is_late(drop: Drop, position: Position) -> bool:
    """Whether a file came when a later correction of its name was taken already."""
    known = drop.digest in position.taken or drop.mark in position.covered
    return not known and drop.number < position.last(drop)


def _next_name(drop: Drop, position: Position) -> str:
    """How the next correction of a file is called."""
    path = Path(drop.name)
    return f"{shown_name(Path(path.stem))}.更正{position.last(drop) + 1}{path.suffix}"


def _short(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
