"""Where the relay's time goes, step by step: CPU of its own thread, without what a step calls
that is a step itself. What clients do in threads of their own stands apart.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from broker.relay import landing
from broker.relay.landing import Lander
from broker.relay.membership import Membership
from broker.relay.plan import Plan
from broker.relay.versions import LastVersions
from broker.seal import Sealer

OPEN, PROJECT = "open", "route and project"


class Clock:
    """CPU seconds by step."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*given: Any, **named: Any) -> Any:
            started = time.thread_time()
            self._inner.append(0.0)
            try:
                return work(*given, **named)
            finally:
                took = time.thread_time() - started
                self.spent[name] += took - self._inner.pop()
                self._inner[-1] += took

        return timed


@contextmanager
def clocked(log: Any) -> Iterator[Clock]:
    """The steps of a relay over that log, timed until the block ends."""
    clock = Clock()
    steps: list[tuple[str, Any, str]] = [
        ("read", type(log), "page"),
        ("which versions are superseded", LastVersions, "look"),
        (OPEN, Sealer, "open_all"),
        (PROJECT, Plan, "land"),
        ("who holds it", Membership, "held"),
        ("who holds it", Membership, "changes"),
        ("who holds it", Membership, "committed"),
        ("sort", landing, "_sorted"),
        ("land, the rest", Lander, "land"),
        ("commit", type(log), "commit"),
    ]
    before = [(owner, name, getattr(owner, name)) for _, owner, name in steps]
    for label, owner, name in steps:
        setattr(owner, name, clock.around(label, getattr(owner, name)))
    try:
        yield clock
    finally:
        for owner, name, work in before:
            setattr(owner, name, work)
