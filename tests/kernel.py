"""Whether the projection kernel runs here.

Law: without it its tests are skipped with the reason, or fail where services are required: on a
machine that is to check everything, nobody takes a kernel that was not built for one that is right.
"""

import os

import pytest

from broker.projection.projector import KERNEL, chosen

REQUIRED = bool(os.environ.get("SHUQIAO_REQUIRE_SERVICES"))


def needs_kernel() -> None:
    """Skip what is running, a test or a module; fail where services are required."""
    found = chosen()
    if found.by == KERNEL:
        return
    reason = f"the projection kernel does not run: {found.why}"
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
