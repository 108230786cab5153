"""Whether this process lives, and whether it can serve.

Law: `/livez` says that the process answers; `/readyz` that log, store, keyring and policy
can be used now. Neither says more than the part's name, and neither waits for long: a part that
does not answer cannot be used.
"""

import threading
from collections.abc import Callable, Mapping

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from broker.web.documents import HEALTH

Check = Callable[[], object]

PATIENCE = 3.0
"""Seconds that all parts together have to answer."""


def health_router(checks: Mapping[str, Check]) -> APIRouter:
    """The endpoints. Each check raises where its part cannot be used."""
    router = APIRouter(tags=["health"])
    known = {name: Part(check) for name, check in checks.items()}

    @router.get("/livez", responses={400: HEALTH[400]})
    def livez() -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", responses=HEALTH)
    def readyz() -> Response:
        """Every part can be used."""
        asked = {name: part.ask() for name, part in known.items()}
        parts = {name: part.answer(asked[name]) for name, part in known.items()}
        ready = all(state == "ok" for state in parts.values())
        body = {"status": "ok" if ready else "not ready", "parts": parts}
        return JSONResponse(body, 200 if ready else 503)

    return router


class Part:
    """Something that is asked whether it can be used; by one at a time, however many want to
    know: one that hangs takes one thread and no more."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None
        self._state = ""

    def ask(self) -> threading.Event:
        """Ask, where nobody is asking; set once there is an answer."""
        with self._lock:
            if self._asking is None:
                self._asking = threading.Event()
                threading.Thread(target=self._ask, args=(self._asking,), daemon=True).start()
            return self._asking

    def answer(self, asked: threading.Event) -> str:
        """`ok`, the kind of error, or that there was no answer."""
        return self._state if asked.wait(PATIENCE) else "NoAnswer"

    def _ask(self, asked: threading.Event) -> None:
        try:
            self._check()
        except Exception as error:  # noqa: BLE001  whatever it is, the part cannot be used
            state = type(error).__name__
        else:
            state = "ok"
        with self._lock:
            self._state, self._asking = state, None
        asked.set()
