"""The schema registry as ordinary Avro clients ask for it: reading, of one's own subjects.

Law: a subject or schema id that is not the caller's is answered exactly like one that
does not exist. An id is what the frames of a share carry, wherever it was given; where two
registries gave the caller's shares one id for two schemas, it is answered of a subject alone.
Paths, members and codes are those of the Confluent schema registry's REST interface; unknown
parameters are ignored, no member is added.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse, Response

from broker.sharing.keys import ApiKey
from broker.sharing.share import Share
from broker.web.documents import REGISTRY
from broker.web.refusal import Refusal
from broker.web.rights import Rights

VERSION = 1
"""A share's schema never changes, so its subject has one version."""


def registry_router(caller: Callable[..., ApiKey], rights: Rights) -> APIRouter:
    """The endpoints. `caller` is the dependency that says who calls."""
    router = APIRouter(tags=["registry"], default_response_class=JSONResponse, responses=REGISTRY)
    Caller = Annotated[ApiKey, Depends(caller)]
    Of = Annotated[str, Query(description="the subject it is wanted for")]
    Prefix = Annotated[str, Query(alias="subjectPrefix", description="how they begin")]
    Default = Annotated[
        str, Query(alias="defaultToGlobal", description="`true`: of any subject, yours or not")
    ]

    def by_id(key: ApiKey, schema_id: str, subject: str = "") -> list[Share]:
        found = [one for one in published(rights, key) if str(one.schema_id) == schema_id]
        named = [one for one in found if subject_of(one) == subject] or found
        if not named or any(one.schema != named[0].schema for one in named):
            raise Refusal(40403, "Schema not found")
        return named

    def of_subject(key: ApiKey, subject: str, version: str = "latest") -> Share:
        share = share_of(rights, key, subject)
        check_version(version)
        return share

    @router.get("/schemas/types")
    def types(key: Caller) -> Response:
        """The kinds of schema there are."""
        return JSONResponse(["AVRO"])

    @router.get("/schemas/ids/{schema_id}")
    def schema(key: Caller, schema_id: str, subject: Of = "") -> Response:
        """A schema by its id."""
        return JSONResponse({"schema": _text(by_id(key, schema_id, subject)[0])})

    @router.get("/schemas/ids/{schema_id}/schema")
    def bare_schema(key: Caller, schema_id: str, subject: Of = "") -> Response:
        """A schema by its id, bare."""
        return JSONResponse(by_id(key, schema_id, subject)[0].schema)

    @router.get("/schemas/ids/{schema_id}/subjects")
    def subjects_of_id(key: Caller, schema_id: str) -> Response:
        """The subjects that have this schema."""
        return JSONResponse([subject_of(one) for one in by_id(key, schema_id)])

    @router.get("/schemas/ids/{schema_id}/versions")
    def versions_of_id(key: Caller, schema_id: str) -> Response:
        """The subjects and versions that have this schema."""
        return JSONResponse(
            [{"subject": subject_of(one), "version": VERSION} for one in by_id(key, schema_id)]
        )

    @router.get("/subjects")
    def subjects(key: Caller, prefix: Prefix = "") -> Response:
        """Your subjects."""
        found = sorted(subject_of(one) for one in published(rights, key))
        return JSONResponse([one for one in found if one.startswith(prefix)])

    @router.get("/subjects/{subject}/versions")
    def versions(key: Caller, subject: str) -> Response:
        """The versions of a subject."""
        of_subject(key, subject)
        return JSONResponse([VERSION])

    @router.get("/subjects/{subject}/versions/{version}")
    def version(key: Caller, subject: str, version: str) -> Response:
        """A version of a subject: a number, or `latest`."""
        return JSONResponse(described(of_subject(key, subject, version)))

    @router.get("/subjects/{subject}/versions/{version}/schema")
    def version_schema(key: Caller, subject: str, version: str) -> Response:
        """The bare schema of a version."""
        return JSONResponse(of_subject(key, subject, version).schema)

    @router.get("/mode")
    def mode(key: Caller) -> Response:
        """Schemas are derived from decisions; nobody writes them here."""
        return JSONResponse({"mode": "READONLY"})

    @router.get("/config")
    def config(key: Caller) -> Response:
        """Every change of a shared schema adds or removes nullable fields alone."""
        return JSONResponse({"compatibilityLevel": "FULL"})

    @router.get("/config/{subject}")
    def subject_config(key: Caller, subject: str, default: Default = "") -> Response:
        """The same of a subject."""
        if default.lower() != "true" and subject not in map(subject_of, published(rights, key)):
            raise Refusal(40408, "Subject does not have subject-level compatibility configured")
        return JSONResponse({"compatibilityLevel": "FULL"})

    @router.get("/associations/resources/-/{topic}")
    def associations(key: Caller, topic: str) -> Response:
        """Subjects tied to a topic otherwise than by its name: none."""
        return JSONResponse([])

    return router


def published(rights: Rights, key: ApiKey) -> list[Share]:
    """The caller's shares whose schema has its id."""
    return [one for one in rights.shares(key) if one.published]


def share_of(rights: Rights, key: ApiKey, subject: str) -> Share:
    """The caller's share of a subject; `Refusal` where there is none."""
    for share in published(rights, key):
        if subject_of(share) == subject:
            return share
    raise Refusal(40401, "Subject not found")


def check_version(version: str) -> None:
    """`Refusal` where it is no version, or not the one there is."""
    if version not in ("latest", "-1", str(VERSION)):
        if not version.isdecimal() or not 0 < int(version[:12]) < 1 << 31:
            raise Refusal(42202, "The version is neither a number nor latest")
        raise Refusal(40402, "Version not found")


def described(share: Share) -> dict[str, Any]:
    """A subject's one version, as the registry tells it."""
    named = {"subject": subject_of(share), "id": share.schema_id, "version": VERSION}
    return named | {"schema": _text(share)}


def subject_of(share: Share) -> str:
    """The subject of a share's values (TopicNameStrategy)."""
    return f"{share.topic}-value"


def _text(share: Share) -> Any:
    return json.dumps(share.schema, ensure_ascii=False, separators=(",", ":"))
