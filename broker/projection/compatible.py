"""Whether data written under one Avro schema can be read under another, and whether two are one.

Law: what is called readable is read by an Avro reader; what is called alike gives every value the
same bytes and the same meaning. The rules are those of schema resolution in the Avro
specification; where they leave it open (aliases, an enum's default), it is not readable. Schemas
are valid Avro: whoever takes one from elsewhere parses it first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
"""In the registry's words; each has a form over all versions, `…_TRANSITIVE`, which is the same
where there is one."""

_NAMED = ("record", "error", "enum", "fixed")


def readable(writer: Any, reader: Any) -> bool:
    """Whether a reader with its schema reads all that the writer may have written."""
    written, read = list(_names(writer)), list(_names(reader))
    if any(len(names) != len(dict(names)) for names in (written, read)):
        return False  # two types of one name: which of them is meant is not looked into
    return _Reading(dict(written), dict(read)).reads(writer, reader)


def compatible(new: Any, old: Any, level: str) -> bool:
    """Whether a new schema may follow an old one, at a level in the registry's words."""
    plain = level.removesuffix("_TRANSITIVE")
    backward = plain not in ("BACKWARD", "FULL") or readable(old, new)
    return backward and (plain not in ("FORWARD", "FULL") or readable(new, old))


def alike(one: Any, other: Any) -> bool:
    """Whether two schemas are the same but for how they are written down: documentation, order
    of members, name and namespace apart or in one."""
    return bool(_written_out(one, "") == _written_out(other, ""))


@dataclass
class _Reading:
    """One writer's and one reader's schema with the types they name."""

    written: Mapping[str, Any]
    read: Mapping[str, Any]
    under_way: set[tuple[str, str]] = field(default_factory=set)

    def reads(self, writer: Any, reader: Any) -> bool:
        """See `readable`; a type within itself reads if all else of it does."""
        writer, reader = _plain(writer, self.written), _plain(reader, self.read)
        if isinstance(writer, list):
            return all(self.reads(one, reader) for one in writer)
        if isinstance(reader, list):
            return any(self.reads(writer, one) for one in reader)
        wrote, reads = _kind(writer), _kind(reader)
        if wrote != reads:
            return reads in PROMOTED.get(wrote, ()) and not (_logical(writer) or _logical(reader))
        if wrote in _NAMED:
            return self._named(wrote, writer, reader)
        if wrote in ("array", "map"):
            inner = "items" if wrote == "array" else "values"
            return self.reads(writer[inner], reader[inner])
        return _logical(writer) == _logical(reader)

    def _named(self, kind: str, writer: Any, reader: Any) -> bool:
        if _last(writer["name"]) != _last(reader["name"]):
            return False
        if kind == "enum":
            return set(writer["symbols"]) <= set(reader["symbols"])
        if kind == "fixed":
            same = bool(writer["size"] == reader["size"])
            return same and _logical(writer) == _logical(reader)
        pair = writer["name"], reader["name"]
        if pair in self.under_way:
            return True
        self.under_way.add(pair)
        try:
            return self._fields(writer, reader)
        finally:
            self.under_way.discard(pair)

    def _fields(self, writer: Any, reader: Any) -> bool:
        written = {one["name"]: one for one in writer["fields"]}
        return all(
            self.reads(written[one["name"]]["type"], one["type"])
            if one["name"] in written
            else "default" in one
            for one in reader["fields"]
        )


def _plain(schema: Any, named: Mapping[str, Any]) -> Any:
    """The schema itself, where it is a name of one or stands inside another's `type`."""
    while True:
        if isinstance(schema, str) and _last(schema) in named:
            schema = named[_last(schema)]
        elif isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            schema = schema["type"]
        elif isinstance(schema, dict) and _last(schema["type"]) in named:
            schema = named[_last(schema["type"])]
        else:
            return schema


def _names(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every type that a schema gives a name, by the last part of it."""
    if isinstance(schema, list):
        for one in schema:
            yield from _names(one)
    elif isinstance(schema, dict):
        if schema["type"] in _NAMED:
            yield _last(schema["name"]), schema
        for one in (schema["type"], schema.get("items"), schema.get("values")):
            if isinstance(one, dict | list):
                yield from _names(one)
        for one in schema.get("fields", ()):
            yield from _names(one["type"])


def _written_out(schema: Any, space: str) -> Any:
    """A schema with full names, and of its members those that matter."""
    if isinstance(schema, list):
        return [_written_out(one, space) for one in schema]
    if isinstance(schema, str):
        return ["named", schema]
    kind = schema["type"]
    if isinstance(kind, dict | list):
        return _written_out(kind, space)
    found: list[Any] = ["named", kind]
    if kind in _NAMED:
        name = schema["name"]
        if "." not in name:
            space = schema.get("namespace", space)
            name = f"{space}.{name}" if space else name
        space = name.rpartition(".")[0]
        found = [kind, name, schema.get("symbols"), schema.get("size")]
    for inner in ("items", "values"):
        if inner in schema:
            found = [kind, _written_out(schema[inner], space)]
    fields = [
        [one["name"], _written_out(one["type"], space), one.get("default", ...)]
        for one in schema.get("fields", ())
    ]
    return [*found, fields, *_logical(schema)] if fields or _logical(schema) else found


def _kind(schema: Any) -> str:
    found = str(schema["type"] if isinstance(schema, dict) else schema)
    return "record" if found == "error" else found


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _logical(schema: Any) -> tuple[Any, ...]:
    """A logical type with what it depends on: read as another it would mean something else."""
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return ()
    return schema["logicalType"], schema.get("precision"), schema.get("scale", 0)
