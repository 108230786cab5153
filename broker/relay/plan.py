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
from broker.projection.projector import Projector
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms, keyed_hash
from broker.registry import Registry, frame
from broker.relay.routing import Router
from broker.sharing.share import Share


class Plan:
    """Routing, projections, keys and writer schemas for some shares of one dataset."""

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
        self.router = Router(dataset, self.shares.values(), divisions)
        self._registry = registry
        self._dataset = dataset
        self._divisions = divisions
        self._reference = reference
        self._projectors: dict[int, Projector] = {}
        self._keys = {name: keyring.key(f"share.{name}") for name in self.shares}
        self._templates = [
            (
                share.effects,
                Pseudonyms(keyring.key(f"pseudonym.{share.domain}")) if share.domain else None,
            )
            for share in self.router.templates
        ]
        self._projections = [
            Projection(dataset, effects, pseudonyms, divisions)
            for effects, pseudonyms in self._templates
        ]

    def key(self, share: str, collected_key: bytes) -> bytes:
        """The key of a record in a share: it tells nothing about its key in another share."""
        return keyed_hash(self._keys[share], collected_key)

    def project(
        self, schema_id: int, body: bytes, year: int
    ) -> tuple[dict[str, bytes], list[tuple[str, ProjectionError]]]:
        """The framed value per share that a record belongs to, and the shares that failed.

        `ProjectionError` where it does not decode by its writer's schema, `RoutingError` where its
        division is unknown.
        """
        projector = self._projectors.get(schema_id)
        if projector is None:
            projector = self._projectors[schema_id] = self._made(schema_id)
        choice, outcomes = projector.project(body, year)
        values: dict[str, bytes] = {}
        failures: list[tuple[str, ProjectionError]] = []
        for route, place in choice.routes:
            outcome = outcomes[place]
            if isinstance(outcome, bytes):
                values[route.share.id] = frame(route.share.schema_id, outcome)
            else:
                failures.append((route.share.id, outcome))
        return values, failures

    def _made(self, schema_id: int) -> Projector:
        return Projector(
            self._registry.schema(schema_id),
            self._dataset,
            self._templates,
            self._projections,
            self.router,
            self._divisions,
            self._reference,
        )
