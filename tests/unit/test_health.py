"""Ready or not: every part is asked, none is waited for, one that hangs costs one thread."""

import threading
import time

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from broker.errors import LogError
from broker.web.health import health_router


def test_a_part_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.web.health.PATIENCE", 0.2)
    free = threading.Event()
    app = FastAPI()
    app.include_router(health_router({"log": lambda: free.wait(20), "store": lambda: None}))
    client = TestClient(app)
    threads = threading.active_count()
    try:
        for _ in range(5):
            at = time.monotonic()
            answer = client.get("/readyz")
            assert answer.status_code == 503 and time.monotonic() - at < 2
            assert answer.json()["parts"] == {"log": "NoAnswer", "store": "ok"}
        assert threading.active_count() <= threads + 2, "one thread hangs, not one a question"
    finally:
        free.set()
    time.sleep(0.1)
    assert client.get("/readyz").status_code == 200


def test_what_fails_is_named_by_its_kind_alone() -> None:
    def fails() -> None:
        raise LogError("SECRET-WORD")

    def breaks() -> None:
        raise ZeroDivisionError("SECRET-WORD")

    app = FastAPI()
    app.include_router(health_router({"log": fails, "store": breaks, "policy": lambda: 1}))
    answer = TestClient(app).get("/readyz")
    assert answer.status_code == 503 and "SECRET-WORD" not in answer.text
    parts = answer.json()["parts"]
    assert parts == {"log": "LogError", "store": "ZeroDivisionError", "policy": "ok"}
