"""What is called readable is read, what is called alike has the same bytes: fastavro judges."""

import json
import os
from collections import Counter
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.projection.compatible import alike, compatible, readable

seen: Counter[str] = Counter()
EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "300"))
many = settings(max_examples=EXAMPLES, deadline=None)
VALUES: dict[str, Any] = {
    "null": None, "boolean": True, "int": 7, "long": 7, "float": 0.5, "double": 0.5,
    "string": "a", "bytes": b"a",
}  # fmt: skip
primitives = st.sampled_from(sorted(VALUES))
enums = st.builds(
    lambda name, symbols: {"type": "enum", "name": name, "symbols": symbols},
    st.sampled_from("EF"),
    st.lists(st.sampled_from("XYZ"), min_size=1, unique=True),
)
fixed = st.builds(lambda size: {"type": "fixed", "name": "G", "size": size}, st.integers(1, 2))
logical = st.sampled_from(
    [
        {"type": "int", "logicalType": "date"},
        {"type": "long", "logicalType": "timestamp-millis"},
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
    ]
)
inner = st.builds(
    lambda kind, more: {
        "type": "record",
        "name": "N",
        "fields": [
            {"name": "i", "type": kind},
            *([{"name": "next", "type": more}] if more else []),
        ],
    },
    primitives,
    st.sampled_from([None, ["null", "N"]]),
)
types = st.one_of(
    primitives,
    st.lists(primitives, min_size=1, max_size=3, unique=True),
    st.builds(lambda items: {"type": "array", "items": items}, primitives),
    st.builds(lambda values: {"type": "map", "values": values}, primitives),
    enums,
    fixed,
    logical,
    inner,
    st.builds(lambda one: ["null", one], st.one_of(enums, inner)),
)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    fields = []
    named: set[str] = set()
    for name in names:
        kind = draw(types)
        if _names(kind) & named:
            kind = _reference(kind)  # a second time it is only named, whatever it would have been
        named |= _names(kind)
        field = {"name": name, "type": kind}
        first = kind[0] if isinstance(kind, list) else kind
        if draw(st.booleans()) and isinstance(first, str) and first in VALUES:
            value = VALUES[first]
            field["default"] = value.decode() if isinstance(value, bytes) else value
        fields.append(field)
    return {"type": "record", "name": "r", "fields": fields}


def _names(kind: Any) -> set[str]:
    if isinstance(kind, list):
        return {name for one in kind for name in _names(one)}
    return {kind["name"]} if isinstance(kind, dict) and "name" in kind else set()


def _reference(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_reference(one) for one in kind]
    return kind["name"] if isinstance(kind, dict) else kind


def examples(kind: Any, named: dict[str, Any]) -> list[Any]:
    """A value of each branch of a type."""
    if isinstance(kind, list):
        return [value for one in kind for value in examples(one, named)]
    if isinstance(kind, str):
        return examples(named[kind], named) if kind in named else [VALUES[kind]]
    if "name" in kind:
        named[kind["name"]] = kind
    if "logicalType" in kind:
        # as what lies below it: a reader that took another meaning would not notice a date
        return [VALUES[kind["type"]]]
    if kind["type"] == "array":
        return [[VALUES[kind["items"]]]]
    if kind["type"] == "map":
        return [{"k": VALUES[kind["values"]]}]
    if kind["type"] == "enum":
        return list(kind["symbols"])
    if kind["type"] == "fixed":
        return [b"a" * kind["size"]]
    values = [{"i": VALUES[kind["fields"][0]["type"]]}]
    if len(kind["fields"]) > 1:
        values = [{**values[0], "next": {**values[0], "next": None}}]
    return values


def rows(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of a schema with every example of every field."""
    every: list[dict[str, Any]] = [{}]
    named: dict[str, Any] = {}
    for field in schema["fields"]:
        values = examples(field["type"], named)
        every = [{**one, field["name"]: value} for one in every for value in values]
    return every


def bare(schema: Any) -> Any:
    """The schema without its logical types: what stands in the bytes."""
    return json.loads(json.dumps(schema), object_hook=lambda one: {
        name: value for name, value in one.items() if name != "logicalType"
    })  # fmt: skip


def written(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(bare(schema)), value)
    return stream.getvalue()


def is_written(one: dict[str, Any], other: dict[str, Any], value: dict[str, Any]) -> bool:
    """Whether a value of the first has the same bytes under the second."""
    try:
        return written(one, value) == written(other, value)
    except Exception:  # noqa: BLE001  however it refuses
        return False


def is_read(writer: dict[str, Any], reader: dict[str, Any]) -> bool:
    """Whether fastavro reads every example of the writer's."""
    try:
        for value in rows(writer):
            fastavro.schemaless_reader(
                BytesIO(written(writer, value)),
                fastavro.parse_schema(bare(writer)),
                fastavro.parse_schema(bare(reader)),
            )
    except Exception:  # noqa: BLE001  however it refuses
        return False
    return True


@st.composite
def followers(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two schemas, the second often grown out of the first."""
    first = draw(records())
    if draw(st.booleans()):
        return first, draw(records())
    fields = draw(st.permutations(first["fields"]))[: draw(st.integers(1, len(first["fields"])))]
    known = {one["name"] for one in fields}
    more = [one for one in draw(records())["fields"] if one["name"] not in known]
    second = {**first, "fields": [*fields, *more]}
    try:
        fastavro.parse_schema(bare(second))
    except Exception:  # noqa: BLE001  a name without its type, or two of one name
        return first, first
    return first, second


@many
@given(followers())
def test_what_is_called_readable_is_read(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    writer, reader = pair
    told = readable(writer, reader)
    seen["readable" if told else "not readable"] += 1
    seen["readable, and another"] += told and writer != reader
    seen["readable, and a named type"] += told and any(
        _names(one["type"]) for one in reader["fields"]
    )
    if told:
        assert is_read(writer, reader)


@many
@given(records())
def test_a_schema_reads_itself_and_what_lacks_a_field_with_a_default(
    schema: dict[str, Any],
) -> None:
    assert readable(schema, schema) and compatible(schema, schema, "FULL_TRANSITIVE")
    more = {**schema, "fields": [*schema["fields"], {"name": "e", "type": "int", "default": 1}]}
    assert readable(schema, more) and readable(more, schema)
    less = {**schema, "fields": [*schema["fields"], {"name": "e", "type": "int"}]}
    assert not readable(schema, less)
    assert compatible(less, schema, "FORWARD") and not compatible(less, schema, "BACKWARD")
    assert not compatible(less, schema, "FULL") and compatible(less, schema, "NONE")


@many
@given(records(), records())
def test_what_is_called_alike_has_the_same_bytes(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    rewritten = {
        "doc": "words", "namespace": "a.b", **dict(sorted(one.items(), reverse=True)),
        "fields": [{"doc": "words", **dict(sorted(f.items()))} for f in one["fields"]],
    }  # fmt: skip
    whole = {**one, "name": "a.b.r"}
    assert alike(one, one) and alike(rewritten, whole) and not alike(one, whole)
    seen["another"] += one != other
    for changed in (other, {**one, "fields": one["fields"][::-1]}):
        if alike(one, changed):
            seen["alike"] += 1
            for value in rows(one):
                assert is_written(one, changed, value)
                assert readable(one, changed) and readable(changed, one)


def test_the_interesting_cases_occurred() -> None:
    kinds = ("readable", "not readable", "readable, and another", "readable, and a named type",
             "another", "alike")  # fmt: skip
    assert min(seen[kind] for kind in kinds) >= 5, seen


def test_a_logical_type_is_no_other() -> None:
    date = {"type": "int", "logicalType": "date"}
    cents = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    for same in (readable, alike):
        assert same(date, date) and not same(date, "int") and not same("int", date)
        assert not same(cents, {**cents, "scale": 3})
    assert not readable(date, "long")


def test_a_type_that_is_named_is_looked_up() -> None:
    def of(kind: str) -> dict[str, Any]:
        return {"type": "record", "name": "N", "fields": [{"name": "i", "type": kind}]}

    def outer(*fields: tuple[str, Any]) -> dict[str, Any]:
        made = [{"name": name, "type": kind} for name, kind in fields]
        made[0]["default"] = {"i": "a"}
        return {"type": "record", "name": "r", "fields": made}

    writer = outer(("a", of("int")), ("b", "N"))
    reader = outer(("c", of("string")), ("b", "N"))
    assert readable(writer, writer) and not readable(writer, reader)
    twice = outer(("a", {**of("int"), "namespace": "x"}), ("b", {**of("long"), "namespace": "y"}))
    assert not readable(twice, twice), "which of two is meant is not guessed"
