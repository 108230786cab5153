"""The HTTP application: its routers, and what holds for every answer.

Law: no answer may be kept by a cache; every error has the one form; an unforeseen error
is told to the operators by its kind alone, and to the caller not at all. What is stopped
before it has begun is to be asked again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.errors import ShuQiaoError
from broker.telemetry import Event, RequestFailed
from broker.web.refusal import Refusal, away

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "the API key"},
    "consumer and key": {"type": "http", "scheme": "basic", "description": "for Kafka tools"},
}
_REGISTRY = ("schemas", "subjects", "config", "mode", "compatibility", "associations")
"""Where another product's paths begin: its strict clients know no other members."""

_OPEN = ("/livez", "/readyz")


def build_app(routers: Iterable[APIRouter], emit: Callable[[Event], None], version: str) -> ASGIApp:
    """The application over these routers."""
    app = FastAPI(
        title="数桥 ShuQiao",
        version=version,
        summary="Your lawful, masked view of the departments' records.",
        docs_url=None,
        redoc_url=None,
    )
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(ShuQiaoError, _not_now)
    app.add_exception_handler(Exception, _unforeseen)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _elsewhere)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return Outermost(app, emit)


class Outermost:
    """What holds for every answer, also for one that fails."""

    def __init__(self, app: ASGIApp, emit: Callable[[Event], None]) -> None:
        self._app = app
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except asyncio.CancelledError:
            if begun:
                raise
            await away().response()(scope, receive, sent)
        except Exception as error:  # noqa: BLE001  its text may hold data: only its kind is told
            # what was begun is broken off by the server, because it has no end
            self._emit(RequestFailed(error=type(error).__name__))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _answered(request, error)


def _not_now(request: Request, error: Exception) -> Response:
    return _answered(request, away())


def _unforeseen(request: Request, error: Exception) -> Response:
    words = "an unforeseen error", "tell the operators, then try again"
    return _answered(request, Refusal(50001, *words))


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    words = f"the parameter {name} is wrong", "/openapi.json lists them"
    return _answered(request, Refusal(42200, *words))


def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing here", 405: "this method is not allowed here"}
    what = words.get(error.status_code, "not possible")
    refusal = Refusal(error.status_code * 100, what, "/openapi.json lists what there is")
    return _answered(request, refusal, error.headers)


def _answered(
    request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None
) -> Response:
    """The refusal; on the registry's paths with the registry's members alone."""
    if request.url.path.split("/")[1] in _REGISTRY:
        refusal = Refusal(refusal.code, refusal.message, wait=refusal.wait)
    return refusal.response(headers)


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the two ways to say who one is."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        document["security"] = [{name: []} for name in _SCHEMES]
        for path in _OPEN:
            document["paths"][path]["get"]["security"] = []
        app.openapi_schema = document
    return app.openapi_schema
