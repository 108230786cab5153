"""From opened records to what each share gets of them: by the kernel where there is one.

Law: both ways give the same, by test. What the kernel refuses, or cannot show, is left to the
reference, so every error is the reference's; what the kernel alone refuses is released by nobody.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from broker.divisions import Divisions
from broker.errors import ProjectionError
from broker.model import Dataset, Schema
from broker.projection.avro import Codec
from broker.projection.program import VERSION, By, Shown, compile_program, value_reader
from broker.projection.reference import Projection

try:
    from broker.projection import kernel as _kernel
except ImportError:  # built without a C compiler
    _kernel = None  # type: ignore[assignment]

Verdict = tuple[bool, ...]
"""Of each row rule, whether it admits the record."""

Holders = frozenset[str]
"""The shares that hold a key."""

Output = tuple[list[bytes], list[bytes | None]]
"""What a share gets: keys, and values or None."""


class Choice(Protocol):
    """Which shares a record belongs to."""

    @property
    def templates(self) -> Sequence[int]:
        """What they need of the record, by number."""


class Effects(Choice, Protocol):
    """A choice, and what follows from it for whoever holds the record's key."""

    @property
    def changes(self) -> dict[Holders, Any]:
        """What `change` has answered so far."""

    def change(self, held: Holders) -> Any:
        """(number of a share, place of its value) of each that gets one; the numbers of those that
        get a tombstone; who holds the key then."""


class Routing(Protocol):
    """What decides which shares a record belongs to."""

    @property
    def row(self) -> Mapping[str, By]:
        """The items that rules read."""

    def reach(self, division: str | None) -> dict[Verdict, Any]:
        """What `choose` fills for the division; `RoutingError` where it is unknown."""

    def judge(self, record: Mapping[str, Any], year: int) -> Verdict:
        """The verdict on a record with at least the items of `row`."""

    def choose(self, reached: Any, verdict: Verdict) -> Any:
        """The choice (see `Choice`)."""


class Projected(NamedTuple):
    """What becomes of a record: the choice, and for each of its templates the framed value, or
    why there is none."""

    choice: Any
    outcomes: Sequence[bytes | ProjectionError]


def has_kernel() -> bool:
    """Whether the kernel runs; without it the reference does."""
    return chosen().by == KERNEL


KERNEL, REFERENCE = "kernel", "reference"
NOT_BUILT, ANOTHER_VERSION = "not built", "another version"


class Chosen(NamedTuple):
    """Which projection runs here, and why it is not the kernel where it is not."""

    by: str
    why: str = ""


def chosen() -> Chosen:
    """As it is in this process. A kernel of another version may mean another thing: it never
    runs."""
    if _kernel is None:
        return Chosen(REFERENCE, NOT_BUILT)
    if _kernel.VERSION != VERSION:
        return Chosen(REFERENCE, ANOTHER_VERSION)
    return Chosen(KERNEL)


class Projector:
    """Records of one writer's schema for one set of shares, which `shown` and the reference's
    `projections` describe alike, template by template. `fast`: by the kernel, if there is one."""

    def __init__(
        self,
        writer: Schema,
        dataset: Dataset,
        shown: Sequence[Shown],
        projections: Sequence[Projection],
        routing: Routing,
        divisions: Divisions,
        *,
        fast: bool,
    ) -> None:
        self._codec = Codec(writer)
        self._scope = dataset.scope_item
        self._routing = routing
        self._heads = [one.head for one in shown]
        self._projections = projections
        self._kernel: Any = None
        if fast and has_kernel():
            program = compile_program(writer, dataset, shown, routing.row, divisions)
            if program is not None:
                types = {one["name"]: one["type"] for one in writer["fields"]}
                names = [program.fields[number].name for number, _ in program.row]
                self._row = [(name, value_reader(types[name])) for name in names]
                self._kernel = _kernel.Kernel(program, VERSION)

    def choices(
        self,
        year: int,
        reach: Callable[[str | None], dict[Verdict, Any]],
        choose: Callable[[Any, Verdict], Effects],
    ) -> Any:
        """What `land` remembers from batch to batch: ages are judged by that year, `choose` says
        what follows for the shares that a division reaches (see `Routing.reach`)."""
        if self._kernel is None:
            return None
        return _kernel.Choices(reach, partial(self._judge, year), choose)

    def land(
        self,
        keys: list[bytes],
        bodies: list[bytes],
        choices: Any,
        held: dict[bytes, Holders],
        outputs: list[Output],
        hashes: Sequence[Any],
        moved: dict[bytes, Holders],
    ) -> tuple[Sequence[int], int]:
        """What becomes of a batch: see `Kernel.land`. Without a kernel all of it is left."""
        if self._kernel is None:
            return range(len(keys)), 0
        found: tuple[Sequence[int], int] = self._kernel.land(
            keys, bodies, choices, held, _NOBODY, outputs, hashes, moved
        )
        return found

    def project(self, body: bytes, year: int) -> Projected:
        """What becomes of one record by the reference, ages judged by that year; `ProjectionError`
        where it is not canonical, `RoutingError` where its division is unknown."""
        record = self._codec.decode(body)
        if self._kernel is not None and (name := self._kernel.damaged(body)) is not None:
            raise ProjectionError("the record is not in canonical form", where=name)
        division = record.get(self._scope)
        reached = self._routing.reach(division if isinstance(division, str) else None)
        choice = self._routing.choose(reached, self._routing.judge(record, year))
        return Projected(choice, [self._shown(one, record) for one in choice.templates])

    def _shown(self, template: int, record: Mapping[str, Any]) -> bytes | ProjectionError:
        try:
            return self._heads[template] + self._projections[template].project(record)
        except ProjectionError as error:
            return error

    def _judge(self, year: int, row: Sequence[bytes | None]) -> Verdict:
        record = {
            name: None if raw is None else read(raw)
            for (name, read), raw in zip(self._row, row, strict=True)
        }
        return self._routing.judge(record, year)


def keyed(secret: bytes) -> Any:
    """The keyed hash by which `land` makes a share's keys; None without a kernel."""
    return _kernel.Keyed(secret) if has_kernel() else None


_NOBODY: Holders = frozenset()
