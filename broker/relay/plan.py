"""What the relay does with a dataset's records, compiled once per set of shares.

Law: a plan is built from decisions and enforces exactly them; it decides nothing.
A share whose schema, key or projection cannot be made stops the plan: nothing is
released by guess.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from broker.divisions import Divisions
from broker.errors import ProjectionError
from broker.keyring import Keyring
from broker.model import Dataset
from broker.projection.avro import Codec
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
    ) -> None:
        self.shares = {share.id: share for share in shares}
        self.router = Router(dataset, self.shares.values(), divisions)
        self._registry = registry
        self._codecs: dict[int, Codec] = {}
        self._keys = {name: keyring.key(f"share.{name}") for name in self.shares}
        self._projections = [
            Projection(
                dataset,
                share.effects,
                Pseudonyms(keyring.key(f"pseudonym.{share.domain}")) if share.domain else None,
                divisions,
            )
            for share in self.router.templates
        ]

    def decode(self, schema_id: int, body: bytes) -> dict[str, Any]:
        """The record, by its writer's schema; `ProjectionError` where it does not decode."""
        codec = self._codecs.get(schema_id)
        if codec is None:
            codec = self._codecs[schema_id] = Codec(self._registry.schema(schema_id))
        return codec.decode(body)

    def key(self, share: str, collected_key: bytes) -> bytes:
        """The key of a record in a share: it tells nothing about its key in another share."""
        return keyed_hash(self._keys[share], collected_key)

    def project(
        self, record: Mapping[str, Any], year: int
    ) -> tuple[dict[str, bytes], list[tuple[str, ProjectionError]]]:
        """The framed value per share that the record belongs to, and the shares that failed."""
        values: dict[str, bytes] = {}
        failures: list[tuple[str, ProjectionError]] = []
        done: dict[int, bytes | ProjectionError] = {}
        for route in self.router.routes(record, year):
            outcome = done.get(route.projection)
            if outcome is None:
                try:
                    outcome = self._projections[route.projection].project(record)
                except ProjectionError as error:
                    outcome = error
                done[route.projection] = outcome
            if isinstance(outcome, bytes):
                values[route.share.id] = frame(route.share.schema_id, outcome)
            else:
                failures.append((route.share.id, outcome))
        return values, failures
