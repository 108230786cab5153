"""What the relay does with a dataset's records, compiled once per set of shares.

Law: a plan is built from decisions and enforces exactly them; it decides nothing.
A share whose schema, key or projection cannot be made stops the plan: nothing is
released by guess.
"""

from collections.abc import Iterable

from broker.divisions import Divisions
from broker.errors import ProjectionError
from broker.keyring import Keyring
from broker.model import Dataset
from broker.projection.program import Shown
from broker.projection.projector import Output, Projector, keyed
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms, keyed_hash
from broker.registry import Registry, frame
from broker.relay.membership import Shares
from broker.relay.routing import Router
from broker.relay.task import Task
from broker.sharing.share import Share

_TASKS = 8


class Plan:
    """Routing, projections, keys and writer schemas for some shares of one dataset. `order` is
    the shares' ids; a share's place in it is its number."""

    def __init__(
        self,
        dataset: Dataset,
        shares: Iterable[Share],
        *,
        divisions: Divisions,
        keyring: Keyring,
        registry: Registry,
        reference: bool = False,
    ) -> None:
        """`reference`: without the kernel."""
        self.shares = {share.id: share for share in shares}
        self.order = sorted(self.shares)
        self.router = Router(dataset, self.shares.values(), divisions)
        self.most = self.router.most
        self._numbers = {name: number for number, name in enumerate(self.order)}
        self._registry = registry
        self._dataset = dataset
        self._divisions = divisions
        self._fast = not reference
        self._projectors: dict[int, Projector] = {}
        self._tasks: dict[tuple[object, ...], Task] = {}
        self._keys = {name: keyring.key(f"share.{name}") for name in self.order}
        self._hashes = [keyed(key) for key in self._keys.values()]
        self._shown = [
            Shown(
                share.effects,
                Pseudonyms(keyring.key(f"pseudonym.{share.domain}")) if share.domain else None,
                frame(share.schema_id, b""),
            )
            for share in self.router.templates
        ]
        self._projections = [
            Projection(dataset, one.effects, one.pseudonyms, divisions) for one in self._shown
        ]

    def task(self, mine: Shares | None, others: Shares, year: int, again: bool = True) -> Task:
        """A pass with this plan: see `Task`. What it remembers is there again for the next."""
        name = mine, others, year, again
        if name not in self._tasks:
            if len(self._tasks) >= _TASKS:
                self._tasks.clear()
            self._tasks[name] = Task(
                self.router, self._numbers, mine=mine, others=others, year=year, again=again
            )
        return self._tasks[name]

    def key(self, share: str, collected_key: bytes) -> bytes:
        """The key of a record in a share: it tells nothing about its key in another share."""
        return keyed_hash(self._keys[share], collected_key)

    def land(
        self,
        schema_id: int,
        keys: list[bytes],
        bodies: list[bytes],
        task: Task,
        held: dict[bytes, Shares],
        outputs: list[Output],
        moved: dict[bytes, Shares],
    ) -> tuple[Iterable[int], int]:
        """What becomes of a batch of one writer's records: see `Projector.land`."""
        projector = self._projector(schema_id)
        if schema_id not in task.choices:
            task.choices[schema_id] = projector.choices(task.year, task.reaching(), task.choose)
        choices = task.choices[schema_id]
        return projector.land(keys, bodies, choices, held, outputs, self._hashes, moved)

    def project(
        self, schema_id: int, body: bytes, year: int
    ) -> tuple[dict[str, bytes], list[tuple[str, ProjectionError]]]:
        """By the reference: the framed value per share that a record belongs to, and the shares
        that failed.

        `ProjectionError` where it does not decode by its writer's schema, `RoutingError` where its
        division is unknown.
        """
        choice, outcomes = self._projector(schema_id).project(body, year)
        values: dict[str, bytes] = {}
        failures: list[tuple[str, ProjectionError]] = []
        for route, place in choice.routes:
            outcome = outcomes[place]
            if isinstance(outcome, bytes):
                values[route.share.id] = outcome
            else:
                failures.append((route.share.id, outcome))
        return values, failures

    def _projector(self, schema_id: int) -> Projector:
        if schema_id not in self._projectors:
            self._projectors[schema_id] = Projector(
                self._registry.schema(schema_id),
                self._dataset,
                self._shown,
                self._projections,
                self.router,
                self._divisions,
                fast=self._fast,
            )
        return self._projectors[schema_id]
