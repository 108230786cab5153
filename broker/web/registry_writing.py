"""The writing side of the schema registry, as far as there is one.

Law: schemas follow from decisions, so nobody writes one here. A producer's client that registers
what stands already is told its id; anything else is refused with 403 in the registry's own form.
A subject that is not the caller's is answered exactly like one that does not exist. These are
another product's paths: they are not in our OpenAPI document.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

import fastavro
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from broker.projection.compatible import alike, compatible
from broker.sharing.keys import ApiKey
from broker.web.refusal import Refusal
from broker.web.registry_api import check_version, described, published, share_of, subject_of
from broker.web.rights import Rights

LEVEL = "FULL"
_LARGEST = 1 << 20
"""Bytes of a request that are read."""


def registry_writing_router(caller: Callable[..., ApiKey], rights: Rights) -> APIRouter:
    """The endpoints. `caller` is the dependency that says who calls."""
    router = APIRouter(include_in_schema=False)
    Caller = Annotated[ApiKey, Depends(caller)]
    Asked = Annotated[Any, Depends(_schema)]

    @router.post("/subjects/{subject}")
    def lookup(key: Caller, subject: str, asked: Asked) -> Response:
        """Under which id and version a schema stands."""
        share = share_of(rights, key, subject)
        if not alike(asked, share.schema):
            raise Refusal(40403, "Schema not found")
        return JSONResponse(described(share))

    @router.post("/subjects/{subject}/versions")
    def register(key: Caller, subject: str, asked: Asked) -> Response:
        """The id of a schema that stands there already; nothing else is taken."""
        for share in published(rights, key):
            if subject_of(share) == subject and alike(asked, share.schema):
                return JSONResponse({"id": share.schema_id})
        raise _written_by_nobody()

    @router.post("/compatibility/subjects/{subject}/versions")
    @router.post("/compatibility/subjects/{subject}/versions/{version}")
    def compatibility(key: Caller, subject: str, asked: Asked, version: str = "latest") -> Response:
        """Whether a schema could follow the one that stands."""
        share = share_of(rights, key, subject)
        check_version(version)
        return JSONResponse({"is_compatible": compatible(asked, share.schema, LEVEL)})

    @router.put("/config")
    @router.put("/config/{subject}")
    @router.delete("/config")
    @router.delete("/config/{subject}")
    @router.put("/mode")
    @router.put("/mode/{subject}")
    @router.delete("/mode/{subject}")
    @router.delete("/subjects/{subject}")
    @router.delete("/subjects/{subject}/versions/{version}")
    def refused(key: Caller) -> Response:
        """Nobody changes or deletes anything here."""
        raise _written_by_nobody()

    return router


def _written_by_nobody() -> Refusal:
    return Refusal(
        40302,
        "schemas follow from decisions: nobody writes them here; ask for other items with a grant",
    )


async def _schema(request: Request) -> Any:
    """The Avro schema of a request; `Refusal` where it is none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise Refusal(42201, "the schema is too large")
    try:
        asked = json.loads(body)
        if asked.get("schemaType", "AVRO") != "AVRO":
            raise Refusal(42201, "the schema is not an Avro schema")
        found = json.loads(asked["schema"])
        fastavro.parse_schema(found)
    except Refusal:
        raise
    except Exception:  # noqa: BLE001  whatever is made of it, it is no schema
        raise Refusal(42201, "the schema is not an Avro schema") from None
    return found
