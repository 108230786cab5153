"""What is called readable is read: fastavro is the judge."""

from collections import Counter
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from broker.projection.compatible import compatible, readable

seen: Counter[str] = Counter()
VALUES: dict[str, Any] = {
    "null": None, "boolean": True, "int": 7, "long": 7, "float": 0.5, "double": 0.5,
    "string": "a", "bytes": b"a",
}  # fmt: skip
primitives = st.sampled_from(sorted(VALUES))
types = st.one_of(
    primitives,
    st.lists(primitives, min_size=1, max_size=3, unique=True),
    st.builds(lambda items: {"type": "array", "items": items}, primitives),
)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    fields = []
    for name in names:
        kind = draw(types)
        field = {"name": name, "type": kind}
        if draw(st.booleans()):
            first = kind[0] if isinstance(kind, list) else kind
            value = [] if isinstance(first, dict) else VALUES[first]
            field["default"] = value.decode() if isinstance(value, bytes) else value
        fields.append(field)
    return {"type": "record", "name": "r", "fields": fields}


def examples(kind: Any) -> list[Any]:
    """A value of each branch of a type."""
    if isinstance(kind, list):
        return [VALUES[one] for one in kind]
    return [[VALUES[kind["items"]]]] if isinstance(kind, dict) else [VALUES[kind]]


def is_read(writer: dict[str, Any], reader: dict[str, Any]) -> bool:
    """Whether fastavro reads every example of the writer's."""
    every = [{}]
    for field in writer["fields"]:
        every = [{**one, field["name"]: v} for one in every for v in examples(field["type"])]
    try:
        for value in every:
            stream = BytesIO()
            fastavro.schemaless_writer(stream, fastavro.parse_schema(writer), value)
            stream.seek(0)
            fastavro.schemaless_reader(
                stream, fastavro.parse_schema(writer), fastavro.parse_schema(reader)
            )
    except Exception:  # noqa: BLE001  however it refuses
        return False
    return True


@given(records(), records())
def test_what_is_called_readable_is_read(writer: dict[str, Any], reader: dict[str, Any]) -> None:
    told = readable(writer, reader)
    seen["readable" if told else "not readable"] += 1
    if told:
        assert is_read(writer, reader)


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


def test_the_interesting_cases_occurred() -> None:
    assert min(seen["readable"], seen["not readable"]) >= 5, seen


def test_a_logical_type_is_no_other() -> None:
    date = {"type": "int", "logicalType": "date"}
    cents = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    assert readable(date, date) and not readable(date, "int")
    assert not readable(cents, {**cents, "scale": 3})
