"""The schema registry: schema ids given for good, and the frame of shared values.

Law: the same content has the same id, always; an id never changes its content. The
frame is the Confluent wire format: 0x00, id (int32, big-endian), Avro body.
"""

import hashlib
import json
import struct
from collections.abc import Iterable

from sqlalchemy import Connection, insert, select

from broker.errors import RegistryError
from broker.model import Schema
from broker.store.engine import Store
from broker.store.tables import schema as table

_FRAME = struct.Struct(">bI")


class Registry:
    """Schemas by id, in the control store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._schemas: dict[int, Schema] = {}

    def schema_id(self, schema: Schema) -> int:
        """The id of this content, given now if it is new."""
        with self._store.reading() as connection:  # known: nobody has to wait for a writer
            known = _known_id(connection, schema)
        if known is not None:
            return known
        with self._store.writing() as connection:
            return schema_id_in(connection, schema)

    def schema(self, schema_id: int) -> Schema:
        """The schema of an id."""
        if schema_id not in self._schemas:
            with self._store.reading() as connection:
                content = connection.execute(
                    select(table.c.content).where(table.c.id == schema_id)
                ).scalar()
            if content is None:
                raise RegistryError(
                    f"there is no schema {schema_id}",
                    mend="restore the control store that was in use when the record was written",
                )
            self._schemas[schema_id] = json.loads(content)
        return self._schemas[schema_id]


def schema_id_in(connection: Connection, schema: Schema) -> int:
    """The id of this content within a transaction of the caller's."""
    known = _known_id(connection, schema)
    if known is not None:
        return known
    content = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    made = connection.execute(
        insert(table)
        .values(fingerprint=_fingerprint(schema), content=content)
        .returning(table.c.id)
    )
    return int(made.scalar_one())


def _known_id(connection: Connection, schema: Schema) -> int | None:
    query = select(table.c.id).where(table.c.fingerprint == _fingerprint(schema))
    known = connection.execute(query).scalar()
    return None if known is None else int(known)


def _fingerprint(schema: Schema) -> str:
    text = json.dumps(schema, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def frame(schema_id: int, body: bytes) -> bytes:
    """The shared value: framed Avro."""
    return _FRAME.pack(0, schema_id) + body


def unframe(value: bytes) -> tuple[int, bytes]:
    """(schema id, Avro body) of a framed value."""
    if len(value) < _FRAME.size or value[0] != 0:
        raise RegistryError("a shared value is not framed", mend="read a shared topic")
    return _FRAME.unpack_from(value)[1], value[_FRAME.size :]


def bodies(values: Iterable[bytes | None]) -> list[bytes | None]:
    """The Avro bodies of framed values; None of tombstones."""
    size = _FRAME.size
    return [
        value[size:]
        if value is not None and len(value) >= size and not value[0]
        else None
        if value is None
        else unframe(value)[1]
        for value in values
    ]
