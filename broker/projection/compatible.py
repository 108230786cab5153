"""Whether data written under one Avro schema can be read under another.

Law: what is called readable is read by an Avro reader. The rules are those of schema resolution
in the Avro specification, for the schemas that occur here: records of primitives, enums, arrays,
maps, fixed, and unions of them.
"""

from typing import Any

PROMOTED = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
"""What a reader may call what was written as that."""

LEVELS = ("NONE", "BACKWARD", "FORWARD", "FULL")
"""In the registry's words; each has a form over all versions, `…_TRANSITIVE`."""


def readable(writer: Any, reader: Any) -> bool:
    """Whether a reader with its schema reads all that the writer may have written."""
    if isinstance(writer, list):
        return all(readable(one, reader) for one in writer)
    if isinstance(reader, list):
        return any(readable(writer, one) for one in reader)
    wrote, reads = _kind(writer), _kind(reader)
    if wrote != reads:
        return reads in PROMOTED.get(wrote, ())
    if wrote == "record":
        return _same_name(writer, reader) and _fields(writer, reader)
    if wrote == "enum":
        known = set(reader["symbols"])
        return _same_name(writer, reader) and (set(writer["symbols"]) <= known)
    if wrote == "fixed":
        return _same_name(writer, reader) and bool(writer["size"] == reader["size"])
    if wrote == "array":
        return readable(writer["items"], reader["items"])
    if wrote == "map":
        return readable(writer["values"], reader["values"])
    return _logical(writer) == _logical(reader)


def compatible(new: Any, old: Any, level: str) -> bool:
    """Whether a new schema may follow an old one, at a level in the registry's words."""
    plain = level.removesuffix("_TRANSITIVE")
    backward = plain not in ("BACKWARD", "FULL") or readable(old, new)
    return backward and (plain not in ("FORWARD", "FULL") or readable(new, old))


def _fields(writer: Any, reader: Any) -> bool:
    written = {field["name"]: field for field in writer["fields"]}
    return all(
        readable(written[field["name"]]["type"], field["type"])
        if field["name"] in written
        else "default" in field
        for field in reader["fields"]
    )


def _kind(schema: Any) -> str:
    found = schema["type"] if isinstance(schema, dict) else schema
    return _kind(found) if isinstance(found, dict) else str(found)


def _logical(schema: Any) -> tuple[Any, ...]:
    """A logical type with what it depends on: read as another it would mean something else."""
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return ()
    return schema["logicalType"], schema.get("precision"), schema.get("scale", 0)


def _same_name(writer: Any, reader: Any) -> bool:
    return bool(writer["name"].rpartition(".")[2] == reader["name"].rpartition(".")[2])
