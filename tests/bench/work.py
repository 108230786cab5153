"""What one process measures: `python -m tests.bench.work '{"what": "relay", …}'`; prints JSON.

Each in a process of its own, so that its CPU and its memory are its own.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.errors import LogError
from broker.projection import projector
from broker.projection.program import VERSION, Shown, compile_program
from broker.pseudonym import Pseudonyms
from broker.relay.yearly import order_year
from broker.roles import collect_seldom
from tests import city
from tests import kafka as on
from tests.bench.collecting import collecting
from tests.bench.measure import measured, peak_mb
from tests.bench.peers import Copier, naive
from tests.bench.steps import OPEN, PROJECT, clocked
from tests.bench.subject import DATASET, Sealed, matching, place, villages_of, within

_TRIES, _PAUSE = 10, 1.0
"""A broker that was just given thousands of partitions needs longer for the first record of each
than a transaction may last: what came in is there, and the next try gets further."""

Passes = dict[str, list[dict[str, float]]]
"""By phase what each pass cost."""


@contextmanager
def prepared() -> Iterator[tuple[Broker, Path]]:
    """A city on an empty log."""
    with tempfile.TemporaryDirectory() as name, place(Path(name)) as broker:
        if broker.settings.kafka_servers:
            on.emptied(broker.log)  # type: ignore[arg-type]
        collect_seldom()
        yield broker, Path(name)


def taken(work: Callable[[], int]) -> dict[str, float]:
    """What one pass cost."""
    records, seconds, cpu = measured(work)
    return {"records": records, "seconds": seconds, "cpu": cpu}


def copy(people: int, passes: int, masked: bool) -> Passes:
    """A bare copy, or the naive peer."""
    with prepared() as (broker, _):
        sealed = Sealed(broker, people, villages_of(broker, 4), plain=masked)
        change = None
        if masked:
            matching(broker, 1)
            broker.sharing.settle()
            (share,) = broker.sharing.shares(DATASET)
            change = naive(share, broker.catalog.dataset(DATASET).schema)
        sealed.append()
        copier = Copier(broker, sealed.counts, change)
        return {"steady": [taken(copier.run) for _ in range(passes)]}


def tried(work: Callable[[], int], times: int) -> Callable[[], int]:
    """The same, and again where the log refuses it, as the role does."""

    def trying() -> int:
        for _ in range(times - 1):
            with suppress(LogError):
                return work()
            time.sleep(_PAUSE)
        return work()

    return trying


def relay(
    people: int, passes: int, shares: int, scopes: str, reference: bool, steps: bool
) -> dict[str, Any]:
    """The product: the first load of new shares, then updates of what they hold; then a share
    more beside them. `scopes`: all match every record, or each is a village's, or the villages'
    towns and counties have theirs besides."""
    if reference:
        projector.has_kernel = lambda: False
    with prepared() as (broker, _), clocked(broker.log) as clock:
        villages = villages_of(broker, shares if scopes != "all" else 4)
        sealed = Sealed(broker, people, villages)
        if scopes == "all":
            matching(broker, shares)
        else:
            within(broker, villages, nested=scopes == "nested")
        broker.sharing.settle()
        broker.life.provision()
        sealed.append()

        order_year(broker.log, DATASET, broker.today.year)

        def once() -> int:
            return broker.relay.run_once(
                sealed.dataset, partial(broker.sharing.shares, DATASET)
            ).read

        patience = 1 if scopes == "all" else _TRIES
        found: dict[str, Any] = {"first load": [taken(tried(once, patience))], "steady": []}
        broker.life.advance()
        for _ in range(passes):
            sealed.append()
            clock.spent.clear()
            found["steady"].append(taken(once))
            spent = clock.spent
            found["steady"][-1]["within"] = spent[OPEN] + spent[PROJECT]
        if steps:
            found["steps"] = {name: spent for name, spent in clock.spent.items()}
        if scopes == "all":
            city.grant(broker, "late", "sex status", dataset=DATASET, department="mz")
            broker.sharing.settle()
            broker.life.provision()
            found["catch-up"] = [taken(once)]
        found["peak_mb"] = peak_mb()
        return found


def kernel(people: int, passes: int) -> Passes:
    """The projection alone: decode, mask and encode with fastavro, and the kernel."""
    with prepared() as (broker, _):
        dataset = broker.catalog.dataset(DATASET)
        bodies = Sealed(broker, people, villages_of(broker, 4)).bodies
        matching(broker, 1)
        broker.sharing.settle()
        (share,) = broker.sharing.shares(DATASET)
        change = naive(share, dataset.schema)
        shown = [Shown(share.effects, Pseudonyms(b"k" * 32))]
        program = compile_program(dataset.schema, dataset, shown, {}, broker.divisions)
        fast = projector._kernel.Kernel(program, VERSION)
        reached = _All()
        choices = projector._kernel.Choices(
            lambda _: reached, lambda _: (), lambda found, _: reached
        )

        def by(one: Callable[[bytes], Any]) -> Callable[[], int]:
            def work() -> int:
                for body in bodies:
                    one(body)
                return len(bodies)

            return work

        return {
            "fastavro": [taken(by(change)) for _ in range(passes)],
            "kernel": [taken(by(lambda body: fast.project(body, choices))) for _ in range(passes)],
        }


class _All(dict[Any, Any]):
    """The one template, whatever the record."""

    templates = (0,)


WORK: dict[str, Callable[..., dict[str, Any]]] = {
    "collect": collecting,
    "copy": copy,
    "kernel": kernel,
    "relay": relay,
}


def main() -> None:
    """Do what is asked for."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    asked = json.loads(sys.argv[1])
    started = time.monotonic()
    found = WORK[asked.pop("what")](**asked)
    print(json.dumps(found | {"took": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
