"""A program that cannot be right makes no kernel; what else it is given cannot break one."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.model import Kind
from broker.policy.model import Effect
from broker.projection.program import (
    MOST_SHOWN,
    VERSION,
    By,
    Field,
    Op,
    Program,
    Shown,
    Step,
    Template,
    Type,
    compile_program,
)
from broker.pseudonym import Pseudonyms
from tests.kernel import needs_kernel
from tests.laws.records import CATALOG, DIVISIONS

needs_kernel()
kernel: Any = importlib.import_module("broker.projection.kernel")

REFUSALS = (ValueError, TypeError, OverflowError)
SECRET = Pseudonyms(b"k" * 32)
FIELDS = [
    Field("scope", Type.STRING, -1),
    Field("day", Type.DATE, 0),
    Field("amount", Type.DECIMAL, 0, 10, 2),
    Field("flag", Type.BOOLEAN, 1),
    Field("note", Type.STRING, 0),
]
SCOPE, DAY, AMOUNT, FLAG, NOTE = range(len(FIELDS))
BODY = b"\x04ab" + b"\x00" + b"\x00" + b"\x00\x01" + b"\x02\x0410"
MOST = MOST_SHOWN


def other(raw: bytes, division: str | None) -> bytes:
    return b"\x00"


def step(source: int, op: Op, first: int = 0, last: int = 0, **more: Any) -> Step:
    return Step("item", source, op, first, last, **{"other": other, "pseudonyms": SECRET, **more})


def program(*steps: Step, **more: Any) -> Program:
    made = Program(
        FIELDS, SCOPE, [Template(b"head", steps)], [], lambda code: None, lambda code: 0
    )  # fmt: skip
    return replace(made, **more)


def of_field(number: int, **more: Any) -> Program:
    """With another field in one's place."""
    fields = list(FIELDS)
    fields[number] = replace(fields[number], **more)
    return program(step(SCOPE, Op.KEEP), fields=fields)


class Reached(dict[Any, Any]):
    """These templates, whatever the record."""

    def __init__(self, templates: Sequence[Any] = (0,), change: Any = None) -> None:
        self.templates = templates
        self.changes = {frozenset(): change or (((0, 0),), (), frozenset())}


def choices(
    templates: Sequence[Any] = (0,), reach: Callable[[str | None], Any] | None = None
) -> Any:
    reached = Reached(templates)
    return kernel.Choices(reach or (lambda _: reached), lambda _: (), lambda found, _: found)


def test_a_program_that_is_right_runs() -> None:
    right = program(*(step(number, Op.KEEP) for number in range(len(FIELDS))))
    _, (shown,) = kernel.Kernel(right, VERSION).project(BODY, choices())
    assert shown == b"head" + b"\x02\x04ab" + b"\x00" + b"\x00" + b"\x02\x01" + b"\x02\x0410"


class Understated(list[Any]):
    """Has more in it than it says."""

    def __len__(self) -> int:
        return 0


def test_what_is_counted_is_what_is_read() -> None:
    """Of a sequence that says that it is shorter than it is: there is room for all of it."""
    steps = Understated(step(number, Op.KEEP) for number in [*range(len(FIELDS))] * 50)
    row = Understated([(DAY, By.BIRTH)] * 50)
    made = program(templates=Understated([Template(b"", steps)]), row=row)
    kernel_of_it = kernel.Kernel(made, VERSION)
    _, (shown,) = kernel_of_it.project(BODY, choices())
    assert shown == (b"\x02\x04ab" + b"\x00" + b"\x00" + b"\x02\x01" + b"\x02\x0410") * 50


FITTING = {
    Op.PSEUDONYM: {Type.STRING},
    Op.ENDS: {Type.STRING},
    Op.SURNAME: {Type.STRING},
    Op.ADDRESS: {Type.STRING},
    Op.DIVISION: {Type.STRING},
    Op.BAND: {Type.DECIMAL},
    Op.DAY: {Type.DATE, Type.MILLIS, Type.MICROS},
    Op.MONTH: {Type.DATE, Type.MILLIS, Type.MICROS},
    Op.YEAR: {Type.DATE, Type.MILLIS, Type.MICROS},
    Op.DECADE: {Type.DATE, Type.MILLIS, Type.MICROS},
}


@pytest.mark.parametrize("kind", Type)
@pytest.mark.parametrize("op", Op)
def test_an_operation_runs_on_the_types_that_it_fits_alone(op: Op, kind: Type) -> None:
    made = Program(
        [Field("one", kind, 0, 5, 2)], -1, [Template(b"", [step(0, op)])], [],
        lambda code: None, lambda code: 0,
    )  # fmt: skip
    if op is not Op.NULL and kind in FITTING.get(op, set(Type)):
        kernel.Kernel(made, VERSION)
    else:
        with pytest.raises(ValueError):
            kernel.Kernel(made, VERSION)


BROKEN: dict[str, Program] = {
    "characters below none at the beginning": program(step(NOTE, Op.ENDS, -1, 4)),
    "characters below none at the end": program(step(NOTE, Op.ENDS, 4, -1)),
    "digits below none": program(step(SCOPE, Op.DIVISION, -6)),
    "characters beyond a number": program(step(NOTE, Op.ENDS, 1 << 31, 0)),
    "a field behind the last": program(step(len(FIELDS), Op.KEEP)),
    "a field before the first": program(step(-2, Op.KEEP)),
    "no field and an operation": program(step(-1, Op.KEEP)),
    "a field and no operation": program(step(NOTE, Op.NULL)),
    "an operation before the first": program(step(NOTE, -1)),  # type: ignore[arg-type]
    "an operation behind the last": program(step(NOTE, Op.OTHER + 1)),  # type: ignore[arg-type]
    "a pseudonym without a secret": program(step(NOTE, Op.PSEUDONYM, pseudonyms=None)),
    "an operation without a reference": program(step(NOTE, Op.SURNAME, other=None)),
    "a word that is no text": program(step(NOTE, Op.ENDS, text="\ud800")),
    "a head that is no bytes": program(templates=[Template(None, [])]),  # type: ignore[arg-type]
    "a division behind the last": program(scope=len(FIELDS)),
    "a division before none": program(scope=-2),
    "a row's field behind the last": program(row=[(len(FIELDS), By.WHOLE)]),
    "a row's field before the first": program(row=[(-1, By.WHOLE)]),
    "a birth year of a text": program(row=[(NOTE, By.BIRTH)]),
    "a number of a date": program(row=[(DAY, By.NUMBER)]),
    "a way of judging behind the last": program(row=[(NOTE, 3)]),  # type: ignore[list-item]
    "a way of judging before the first": program(row=[(NOTE, -1)]),  # type: ignore[list-item]
    "a type behind the last": of_field(NOTE, type=Type.DECIMAL + 1),
    "a type before the first": of_field(NOTE, type=-1),
    "a third branch": of_field(NOTE, null=2),
    "a branch before none": of_field(NOTE, null=-2),
    "a decimal of no digits": of_field(AMOUNT, precision=0, scale=0),
    "a decimal of fewer digits than none": of_field(AMOUNT, precision=-1),
    "a decimal of more digits than a number": of_field(AMOUNT, precision=19),
    "a decimal with digits behind its last": of_field(AMOUNT, scale=11),
    "a decimal with digits before its first": of_field(AMOUNT, scale=-1),
    "no bands": program(bands=[]),
    "bands that fall": program(bands=[0, 600, 300]),
    "bands from below zero": program(bands=[-1, 300]),
    "bands of parts": program(bands=[0, 0.5]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_program_is_refused(broken: str) -> None:
    with pytest.raises(REFUSALS):
        kernel.Kernel(BROKEN[broken], VERSION)


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1, -1, 1 << 40, None, "1"])
def test_a_program_of_another_version_is_refused(version: Any) -> None:
    with pytest.raises(REFUSALS):
        kernel.Kernel(program(), version)


def test_a_kernel_is_of_one_program_for_good() -> None:
    """A second one would stand in buffers that were made for the first."""
    made = kernel.Kernel(program(step(NOTE, Op.KEEP)), VERSION)
    one_field = Program(
        [FIELDS[0]], 0, [Template(b"x", [])], [], lambda code: None, lambda code: 0
    )  # fmt: skip
    made.__init__(one_field, VERSION)
    assert made.project(BODY, choices())[1] == [b"head" + b"\x02\x0410"]
    with pytest.raises(TypeError):
        kernel.Kernel.__new__(kernel.Kernel)


@pytest.mark.parametrize("given", [None, bytearray(BODY), "text", 7])
def test_what_is_no_bytes_is_no_record(given: Any) -> None:
    made = kernel.Kernel(program(step(NOTE, Op.KEEP)), VERSION)
    with pytest.raises(TypeError):
        made.damaged(given)
    with pytest.raises(TypeError):
        made.project(given, choices())
    with pytest.raises(TypeError):
        made.land([b"k"], [given], choices(), {}, frozenset(), [([], [])], [keyed], {})


keyed = kernel.Keyed(b"s" * 32)


@pytest.mark.parametrize("choosing", [None, {}])
def test_without_choices_nothing_is_projected(choosing: Any) -> None:
    made = kernel.Kernel(program(), VERSION)
    with pytest.raises(TypeError):
        made.project(BODY, choosing)
    with pytest.raises(TypeError):
        made.land([b"k"], [BODY], choosing, {}, frozenset(), [([], [])], [keyed], {})


@pytest.mark.parametrize("template", [1, -1, 1 << 40, None])
def test_a_template_that_is_not_there_is_refused(template: Any) -> None:
    made = kernel.Kernel(program(), VERSION)
    with pytest.raises(REFUSALS):
        made.project(BODY, choices([template]))
    with pytest.raises(REFUSALS):
        made.land([b"k"], [BODY], choices([template]), {}, frozenset(), [([], [])], [keyed], {})


def test_as_many_characters_as_a_number_holds_are_never_there() -> None:
    """Both ends together, and what they must hide, are more than a number of 32 bits."""
    made = kernel.Kernel(program(step(NOTE, Op.ENDS, MOST, MOST)), VERSION)
    assert made.project(BODY, choices())[1] == [b"head\x00"]


def test_more_characters_than_a_number_holds_are_the_references() -> None:
    dataset = CATALOG.dataset("ga.resident_base")
    (item,) = (one for one in dataset.items if one.kind is Kind.CITIZEN_ID)
    shown = {item.name: Effect("edges", (("first", 6), ("last", MOST + 1)))}
    made = compile_program(dataset.schema, dataset, [Shown(shown, None)], {}, DIVISIONS)
    assert made is not None and made.templates[0].steps[0].op is Op.OTHER
    kernel.Kernel(made, VERSION)


def test_of_a_division_no_more_is_shown_than_there_is() -> None:
    """Even where the table says that its code has more digits."""
    made = kernel.Kernel(program(step(SCOPE, Op.DIVISION, 9), digits=lambda code: 12), VERSION)
    assert made.project(BODY, choices())[1] == [b"head\x00"]


@pytest.mark.parametrize("answer", [None, "text", bytearray(b"\x00")])
def test_a_reference_that_answers_no_bytes_is_refused(answer: Any) -> None:
    one = step(NOTE, Op.OTHER, other=lambda raw, division: answer)
    with pytest.raises(TypeError):
        kernel.Kernel(program(one), VERSION).project(BODY, choices())


@pytest.mark.parametrize(
    ("outputs", "hashes"),
    [
        ([], [keyed]),
        ([([], [])], []),
        ([([], [])], [None]),
        ([([], [])], [lambda key: key]),
        ([None], [keyed]),
        ([(None, None)], [keyed]),
        ([((), ())], [keyed]),
        ([([], [], [])], [keyed]),
    ],
)
def test_an_output_that_is_none_is_refused(outputs: Any, hashes: Any) -> None:
    made = kernel.Kernel(program(step(NOTE, Op.KEEP)), VERSION)
    with pytest.raises(REFUSALS):
        made.land([b"k"], [BODY], choices(), {}, frozenset(), outputs, hashes, {})


@pytest.mark.parametrize(
    "change",
    [
        (((1, 0),), (), frozenset()),
        (((0, 1),), (), frozenset()),
        ([(0, 0)], (), frozenset()),
        (((0, 0),), [0], frozenset()),
        (((0, 0),), (9,), frozenset()),
        ([[0, 0]], (), frozenset()),
        ((), ()),
        7,
    ],
)
def test_a_change_that_cannot_be_made_is_refused(change: Any) -> None:
    made = kernel.Kernel(program(step(NOTE, Op.KEEP)), VERSION)
    reached = Reached(change=change)
    with pytest.raises((*REFUSALS, IndexError)):
        made.land(
            [b"k"], [BODY], choices(reach=lambda _: reached), {}, frozenset(), [([], [])],
            [keyed], {},
        )  # fmt: skip


def test_a_batch_that_is_emptied_meanwhile_is_left() -> None:
    made = kernel.Kernel(program(step(NOTE, Op.KEEP)), VERSION)
    bodies = [BODY] * 100

    def emptying(division: str | None) -> Reached:
        bodies.clear()
        return Reached()

    with pytest.raises(IndexError):
        made.land(
            [b"k"] * 100, bodies, choices(reach=emptying), {}, frozenset(), [([], [])], [keyed], {}
        )


numbers = st.integers(-3, 20) | st.sampled_from([MOST, -MOST - 1, 1 << 31, 1 << 63, -(1 << 70)])
odd = numbers | st.none() | st.floats() | st.text(max_size=2) | st.binary(max_size=2)
fields = st.builds(Field, st.text(max_size=2), *[st.sampled_from(Type) | odd] + [odd] * 3)
steps = st.builds(
    Step,
    st.just("item"),
    st.integers(-1, 3) | odd,
    st.sampled_from(Op) | odd,
    odd,
    odd,
    st.text(max_size=9),
    st.just(other),
    st.sampled_from([SECRET, None]),
)
programs = st.builds(
    Program,
    st.lists(fields | st.sampled_from(FIELDS), max_size=4),
    odd,
    st.lists(st.builds(Template, st.binary(max_size=3), st.lists(steps, max_size=3)), max_size=2),
    st.lists(st.tuples(st.integers(-1, 3) | odd, st.sampled_from(By) | odd), max_size=2),
    st.just(lambda code: None),
    st.just(lambda code: 12),
    st.lists(odd, max_size=3) | st.just((0, 300)),
)


@settings(max_examples=500, deadline=None)
@given(programs, st.binary(max_size=12))
def test_a_program_of_anything_is_refused_or_runs(made: Program, body: bytes) -> None:
    try:
        one = kernel.Kernel(made, VERSION)
    except (*REFUSALS, AttributeError):
        return
    one.damaged(body)
    one.project(body, choices(range(len(made.templates))))
