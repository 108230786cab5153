"""Memory stays flat while changes flow and a consumer reads: `./run soak --minutes N`; an hour
where no minutes are given."""

import pytest

from tests.bench.lasting import flat
from tests.bench.roles import APART

HOUR = 60.0
GROWTH = 16.0
"""MB that a role may grow by after the first third, however long it goes on."""


@pytest.mark.soak
def test_memory_stays_flat(pytestconfig: pytest.Config) -> None:
    minutes = float(pytestconfig.getoption("minutes")) or HOUR
    found = flat(minutes)
    assert found["collected"] > 0
    grown = {role: found[role]["last_mb"] - found[role]["first_mb"] for role in APART}
    assert {role: mb for role, mb in grown.items() if mb > GROWTH} == {}
