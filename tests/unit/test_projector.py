"""Which projection runs: it is said wherever somebody relays, and a stale kernel never runs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker.cli.relay import relay_all
from broker.doctor import examine
from broker.projection import projector
from broker.projection.program import VERSION
from broker.projection.projector import (
    ANOTHER_VERSION,
    KERNEL,
    NOT_BUILT,
    REFERENCE,
    Chosen,
    Projector,
)
from tests import city, kernel
from tests.laws import records as r

MISSING = None
STALE = SimpleNamespace(VERSION=VERSION + 1)
RUNS = SimpleNamespace(VERSION=VERSION)
CASES = [
    (RUNS, Chosen(KERNEL, ""), ""),
    (MISSING, Chosen(REFERENCE, NOT_BUILT), "install a C compiler"),
    (STALE, Chosen(REFERENCE, ANOTHER_VERSION), "install anew"),
]
BUILDS = pytest.mark.parametrize(("build", "must", "mend"), CASES, ids=["runs", "missing", "stale"])


@BUILDS
def test_it_is_said_in_the_log_and_in_a_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Any, must: Chosen, mend: str
) -> None:
    monkeypatch.setattr(projector, "_kernel", build)
    assert projector.chosen() == must
    assert projector.has_kernel() is (must.by == KERNEL)
    with city.city(tmp_path) as broker:
        relay_all(broker)
        said = [json.loads(one) for one in broker.settings.events_path.read_text().splitlines()]
        (found,) = [one for one in said if one["event"] == "ProjectionChosen"]
        assert (found["by"], found["why"]) == must
        assert f'shuqiao_projection{{by="{must.by}"}} 1.0' in broker.telemetry.metrics().decode()


@BUILDS
def test_doctor_says_it_and_calls_nothing_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    build: Any,
    must: Chosen,
    mend: str,
) -> None:
    monkeypatch.setattr(projector, "_kernel", build)
    with city.city(tmp_path, http_port=0, metrics_port=0) as broker:
        (found,) = [one for one in examine(broker) if one.check == "projection"]
    assert found.well and must.by in found.found and found.mend.startswith(mend)
    assert bool(found.mend) is (must.by != KERNEL)


def test_a_kernel_of_another_version_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it could: it has no way to be made."""
    monkeypatch.setattr(projector, "_kernel", STALE)
    dataset = next(iter(r.CATALOG.datasets.values()))
    writer = {
        "type": "record",
        "name": "w",
        "fields": [{"name": one.name, "type": one.avro} for one in dataset.items],
    }
    routing: Any = SimpleNamespace(row={})
    made = Projector(writer, dataset, [], [], routing, r.DIVISIONS, fast=True)
    assert made.choices(2026, lambda division: {}, lambda reached, verdict: reached) is None
    assert projector.keyed(b"k" * 32) is None


@pytest.mark.parametrize("build", [MISSING, STALE], ids=["missing", "stale"])
def test_what_needs_the_kernel_fails_where_everything_is_required(
    monkeypatch: pytest.MonkeyPatch, build: Any
) -> None:
    monkeypatch.setattr(projector, "_kernel", build)
    for required, must in ((True, pytest.fail.Exception), (False, pytest.skip.Exception)):
        monkeypatch.setattr(kernel, "REQUIRED", required)
        with pytest.raises(BaseException, match="does not run") as caught:
            kernel.needs_kernel()
        assert caught.type is must
    monkeypatch.setattr(projector, "_kernel", RUNS)
    kernel.needs_kernel()
