"""Settings of the whole test run."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from broker.cli.output import OUTPUT
from tests.kafka import kafka, on_kafka  # noqa: F401  fixtures
from tests.postgres import on_postgres, postgres  # noqa: F401  fixtures

# A planted fault is to be found, not explained: looking for the smallest example takes minutes.
settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate))
if os.environ.get("SHUQIAO_MUTANT"):
    settings.load_profile("mutants")


def pytest_addoption(parser: pytest.Parser) -> None:
    """For how long the ordeals of `./run soak` go on, and its watch over memory."""
    more = "for how long the ordeals go on, and memory is watched (an hour without)"
    parser.addoption("--minutes", type=float, default=0.0, help=more)


@pytest.fixture(autouse=True)
def _its_own_output() -> Iterator[None]:
    """No test leaves its language or form to the next."""
    before = dict(vars(OUTPUT))
    yield
    vars(OUTPUT).update(before)
