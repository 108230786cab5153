"""The HTTP interface is what its OpenAPI document says: schemathesis draws requests from it,
right and wrong ones, and reads every answer against it.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import ignored_auth

from tests.serving import Served, live, served

EXAMPLES = 25
"""Requests drawn of each kind, of each endpoint."""

DATASET = "ga.resident_base"

ENDLESS = "events"
"""A stream of events has no end: what it sends is read in test_http."""


@dataclass
class Document:
    """The document, and a consumer whose share has the names and the cursor of `real`."""

    web: Served
    client: httpx2.Client
    schema: Any
    real: dict[str, str]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Document]:
    with served(tmp_path_factory.mktemp("city"), 5, http_requests_per_minute=10**6) as web:
        share = live(web.broker, "a").share
        client = web.client("a")
        schema = schemathesis.openapi.from_url(f"{web.url}/openapi.json")
        assert share
        real = {
            "dataset": DATASET,
            "share": share.id,
            "cursor": client.get(f"/v1/shares/{share.id}/records").json()["cursor"],
            "subject": f"{share.topic}-value",
            "schema_id": str(share.schema_id),
            "version": "latest",
        }
        yield Document(web, client, schema, real)


def test_every_answer_is_as_described(document: Document) -> None:
    statuses: Counter[tuple[str, int]] = Counter()
    for found in document.schema.get_all_operations():
        operation = found.ok()
        if ENDLESS in operation.path:
            continue
        _ask(document, operation, schemathesis.GenerationMode.POSITIVE, statuses)
        with suppress(Unsatisfiable):  # nothing can be wrong where nothing is asked
            _ask(document, operation, schemathesis.GenerationMode.NEGATIVE, statuses)
    paths = {path for path, _ in statuses}
    assert len(paths) == len(document.schema.raw_schema["paths"]) - 2
    assert not [path for path in paths if not statuses[path, 200]], "each was answered"
    assert sum(count for (_, status), count in statuses.items() if status == 422) >= 20
    assert not [status for _, status in statuses if status >= 500]


def _ask(document: Document, operation: Any, mode: Any, statuses: Counter[tuple[str, int]]) -> None:
    """Requests drawn for an operation, each answer compared with what is described."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def check(case: Any, known: bool) -> None:
        if mode.is_positive:
            _make_real(case, document.real, known)
        (case.query or {}).pop("wait", None)
        answer = case.call(headers=dict(document.client.headers))
        # that nothing is given without a key is tried below, for every endpoint
        case.validate_response(answer, excluded_checks=[ignored_auth])
        statuses[case.path, answer.status_code] += 1

    check()


def _make_real(case: Any, real: dict[str, str], known: bool) -> None:
    """A cursor cannot be drawn, so it is a real one; names are real ones half of the time."""
    if "cursor" in (case.query or {}):
        case.query["cursor"] = real["cursor"]
        known = True
    if known and case.path_parameters:
        what = "dataset" if "/datasets/" in case.path else "share"
        for name in case.path_parameters:
            case.path_parameters[name] = real.get(what if name == "name" else name, "x")


def test_nothing_is_answered_without_a_key(document: Document) -> None:
    nobody = document.web.with_key("")
    for path in document.schema.raw_schema["paths"].keys() - {"/livez", "/readyz"}:
        place = path.format_map(document.real | {"name": DATASET, "topic": "x"})
        assert nobody.get(place).status_code in (401, 429), path
