"""Whether this process lives, and whether it can serve.

Law: `/livez` says that the process answers; `/readyz` that log, store, keyring and policy
can be used now. Neither says more than the part's name.
"""

from collections.abc import Callable, Mapping

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from broker.errors import ShuQiaoError
from broker.web.documents import HEALTH

Check = Callable[[], object]


def health_router(checks: Mapping[str, Check]) -> APIRouter:
    """The endpoints. Each check raises where its part cannot be used."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", responses={400: HEALTH[400]})
    def livez() -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", responses=HEALTH)
    def readyz() -> Response:
        """Every part can be used."""
        parts = {name: _state(check) for name, check in checks.items()}
        ready = all(state == "ok" for state in parts.values())
        body = {"status": "ok" if ready else "not ready", "parts": parts}
        return JSONResponse(body, 200 if ready else 503)

    return router


def _state(check: Check) -> str:
    try:
        check()
    except ShuQiaoError as error:
        return type(error).__name__
    return "ok"
