"""What stands at the root: where to go on.

Law: it is the same for everybody, and says nothing of what is shared.
"""

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

_FRONT = {
    "name": "数桥 ShuQiao",
    "interface": "/openapi.json",
    "shares": "/v1/shares",
    "key": "Authorization: Bearer KEY; `shuqiao consumer key add` makes one",
    "help": "README.md, Read as a consumer",
}


def front_router() -> APIRouter:
    """The endpoint; not part of the interface that is described."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def front() -> Response:
        """Where to go on."""
        return JSONResponse(_FRONT)

    return router
