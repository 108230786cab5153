"""From a sealed record's body to what each share gets of it: by the kernel where there is one.

Law: both ways give the same, by test. Where the kernel refuses anything the reference is asked,
so every error is the reference's; what the kernel alone refuses is released by nobody.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from broker.divisions import Divisions
from broker.errors import ProjectionError
from broker.model import Dataset, Schema
from broker.policy.model import Effect
from broker.projection.avro import Codec
from broker.projection.program import VERSION, By, Program, compile_program, value_reader
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms

try:
    from broker.projection import kernel as _kernel
except ImportError:  # built without a C compiler
    _kernel = None  # type: ignore[assignment]

Verdict = tuple[bool, ...]
"""Of each row rule, whether it admits the record."""

Template = tuple[Mapping[str, Effect], Pseudonyms | None]
"""What shares with equal effects have in common."""

Outcome = bytes | ProjectionError
"""The Avro body for a template, or why there is none."""


class Choice(Protocol):
    """Which shares a record belongs to."""

    @property
    def templates(self) -> Sequence[int]:
        """The templates that they need, by number."""


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
    """What becomes of a record: the choice, and the outcome of each of its templates."""

    choice: Any
    outcomes: Sequence[Outcome]


def has_kernel() -> bool:
    """Whether the kernel runs; without it the reference does."""
    return _kernel is not None and _kernel.VERSION == VERSION


class Projector:
    """Records of one writer's schema for one set of shares; `projections` are the reference's, of
    the templates. `reference`: without the kernel."""

    def __init__(
        self,
        writer: Schema,
        dataset: Dataset,
        templates: Sequence[Template],
        projections: Sequence[Projection],
        routing: Routing,
        divisions: Divisions,
        reference: bool = False,
    ) -> None:
        self._codec = Codec(writer)
        self._scope = dataset.scope_item
        self._routing = routing
        self._projections = projections
        self._year = 0
        self._choices: Any = None
        self._kernel: Any = None
        if not reference and has_kernel():
            program = compile_program(writer, dataset, templates, routing.row, divisions)
            if program is not None:
                self._begin(program, writer)

    def _begin(self, program: Program, writer: Schema) -> None:
        types = {one["name"]: one["type"] for one in writer["fields"]}
        names = [program.fields[number].name for number, _ in program.row]
        self._row = [(name, value_reader(types[name])) for name in names]
        self._kernel = _kernel.Kernel(program, VERSION)

    def project(self, body: bytes, year: int) -> Projected:
        """What becomes of a body, ages judged by that year; `ProjectionError` where it is not
        canonical, `RoutingError` where its division is unknown."""
        if self._kernel is None:
            return self._by_reference(body, year)
        if year != self._year or self._choices is None:
            self._year = year
            self._choices = _kernel.Choices(self._routing.reach, self._judge, self._routing.choose)
        found = self._kernel.project(body, self._choices)
        if found is None:
            self._by_reference(body, year)  # says what is wrong
            name = self._kernel.damaged(body)
            raise ProjectionError("the record is not in canonical form", where=name or "")
        choice, bodies = found
        if None in bodies:
            return self._with_errors(body, year, choice, bodies)
        return Projected(choice, bodies)

    def _judge(self, row: Sequence[bytes | None]) -> Verdict:
        record = {
            name: None if raw is None else read(raw)
            for (name, read), raw in zip(self._row, row, strict=True)
        }
        return self._routing.judge(record, self._year)

    def _with_errors(
        self, body: bytes, year: int, choice: Any, bodies: Sequence[bytes | None]
    ) -> Projected:
        said = self._by_reference(body, year)
        return Projected(
            choice,
            [
                mine if mine is not None else self._error(its)
                for mine, its in zip(bodies, said.outcomes, strict=True)
            ],
        )

    @staticmethod
    def _error(outcome: Outcome) -> ProjectionError:
        if isinstance(outcome, ProjectionError):
            return outcome
        return ProjectionError("a value cannot be shown")

    def _by_reference(self, body: bytes, year: int) -> Projected:
        record = self._codec.decode(body)
        division = record.get(self._scope)
        reached = self._routing.reach(division if isinstance(division, str) else None)
        choice = self._routing.choose(reached, self._routing.judge(record, year))
        return Projected(choice, [self._shown(one, record) for one in choice.templates])

    def _shown(self, template: int, record: Mapping[str, Any]) -> Outcome:
        try:
            return self._projections[template].project(record)
        except ProjectionError as error:
            return error
