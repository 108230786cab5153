"""Builds every object: the only wiring.

Law: nothing is built before it is asked for, everything is built once, and each part
gets what it needs through its constructor.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

from broker.catalog import Catalog, load_catalog
from broker.controller import Controller
from broker.divisions import Divisions, load_divisions
from broker.errors import MappingError
from broker.hold import Hold
from broker.keyring import Keyring
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Log
from broker.model import Dataset
from broker.policy.model import Policy
from broker.registry import Registry
from broker.relay.reconcile import Reconciler
from broker.relay.role import RelayRole
from broker.relay.worker import Relay
from broker.seal import Sealer, open_sealer
from broker.settings import Settings, load_settings
from broker.sharing.keys import ApiKeys
from broker.sharing.life import Life
from broker.sharing.pulls import Pulls
from broker.sharing.service import Sharing
from broker.sharing.versions import Versions
from broker.store.engine import Store, open_store
from broker.store.lease import Lease
from broker.telemetry import Telemetry
from broker.web.access import Access
from broker.web.app import build_app
from broker.web.cursor import Cursors
from broker.web.delivery import Delivery
from broker.web.health import health_router
from broker.web.lines import Lines
from broker.web.pulse import Pulse
from broker.web.records_api import Desk, records_router
from broker.web.registry_api import registry_router
from broker.web.rights import Rights
from broker.web.role import Address, ServeRole, Serving
from broker.web.waiting import Waiting
from connectors.collect import Secrets
from connectors.convert import Converter
from connectors.files import CsvDrops
from connectors.mapping import Mapping, load_mapping
from connectors.role import ConnectRole
from connectors.runner import Runner, Supply
from connectors.source import Source
from connectors.sql import SqlTable


class Broker:
    """One city's broker over one state folder."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`clock` gives the time now, with its zone."""
        self.settings = settings
        self.clock = clock

    @cached_property
    def divisions(self) -> Divisions:
        """The division table."""
        return load_divisions(self.settings.schemas / "divisions.csv")

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue; raises where a schema is wrong."""
        return load_catalog(self.settings.schemas)

    @property
    def today(self) -> date:
        """The day in the city's time zone."""
        return self.clock().astimezone(self.settings.zone).date()

    @property
    def policy_folders(self) -> list[Path]:
        """The shipped policy, and this installation's own rules where there are any."""
        local = self.settings.local_policies
        return [self.settings.policies, *([local] if local.exists() else [])]

    @cached_property
    def versions(self) -> Versions:
        """The policy versions, and which is in force."""
        return Versions(self.store, self.catalog, lambda: self.policy_folders)

    @property
    def policy(self) -> Policy:
        """The policy in force today."""
        return self.versions.active(self.today)

    @cached_property
    def keyring(self) -> Keyring:
        """The keyring; made on first use."""
        return Keyring.open(self.settings.keyring_path)

    @cached_property
    def sealer(self) -> Sealer:
        """Seals and opens collected records."""
        return open_sealer(self.keyring, self.log)

    @cached_property
    def telemetry(self) -> Telemetry:
        """Named events: a log line and a metric each."""
        return Telemetry(self.settings.events_path)

    @cached_property
    def log(self) -> Log:
        """The log."""
        return EmbeddedLog(self.settings.log_path)

    @cached_property
    def store(self) -> Store:
        """The control store, at its newest form."""
        return open_store(self.settings.store_url)

    @cached_property
    def registry(self) -> Registry:
        """Schemas by id."""
        return Registry(self.store)

    @cached_property
    def sharing(self) -> Sharing:
        """Consumers, grants and shares."""
        return Sharing(
            self.store,
            self.catalog,
            self.divisions,
            self.registry,
            self.versions,
            lambda: self.today,
        )

    @cached_property
    def life(self) -> Life:
        """Opens and closes the shares' topics."""
        return Life(
            self.store,
            self.log,
            self.keyring,
            self.catalog,
            self.sharing.settle,
            self.telemetry.emit,
        )

    @cached_property
    def relay(self) -> Relay:
        """Collected → shares."""
        return Relay(
            self.log,
            self.sealer,
            divisions=self.divisions,
            keyring=self.keyring,
            registry=self.registry,
            year=lambda: self.today.year,
            emit=self.telemetry.emit,
            batch_size=self.settings.relay_batch,
        )

    @cached_property
    def reconciler(self) -> Reconciler:
        """Compares shares with their recomputation."""
        return Reconciler(self.log, self.sealer, self.relay.plan)

    def hold(self, name: str) -> Hold:
        """A hold of this installation."""
        return Hold(self.settings.holds_path, name)

    def relay_role(self) -> RelayRole:
        """The relay as a role."""
        return RelayRole(
            self.relay,
            self.log,
            list(self.catalog.datasets.values()),
            self.sharing.shares,
            self.sharing.revision,
            self.hold,
        )

    def controller_role(self) -> Controller:
        """The controller as a role."""
        return Controller(
            self.sharing,
            self.life,
            Lease(self.store, "controller"),
            self.log,
            list(self.catalog.datasets),
            today=lambda: self.today,
            ends=self.settings.ends_path,
            emit=self.telemetry.emit,
        )

    @cached_property
    def api_keys(self) -> ApiKeys:
        """The consumers' API keys."""
        return ApiKeys(self.store)

    @cached_property
    def pulls(self) -> Pulls:
        """The record of what left over HTTP."""
        return Pulls(self.store)

    def serve_role(self, tell: Callable[[str], None]) -> ServeRole:
        """HTTP as a role; `tell` hears where it can be reached."""
        settings = self.settings
        return ServeRole(
            Address(
                settings.http_host,
                settings.http_port,
                settings.metrics_port,
                settings.http_certificate,
                settings.http_private_key,
            ),
            self._serving,
            self.telemetry.registry,
            tell,
        )

    def _serving(self) -> Serving:
        rights = Rights(self.sharing, self.api_keys, self.catalog)
        delivery = Delivery(self.log, rights, self.pulls, self.catalog, self.telemetry.emit)
        pulse = Pulse(self.log)
        emit, settings = self.telemetry.emit, self.settings
        lines = Lines(self.sharing, rights, pulse, settings.http_streams, emit)
        caller = Access(self.api_keys, emit, settings.http_requests_per_minute).caller
        desk = Desk(
            caller,
            rights,
            delivery,
            Cursors(self.sealer),
            lines,
            Waiting(pulse, delivery),
            self.catalog,
        )
        checks = {
            "log": self.log.topics,
            "store": self.sharing.revision,
            "keyring": lambda: self.sealer,
            "policy": lambda: self.policy,
        }
        routers = [
            records_router(desk),
            registry_router(caller, rights),
            health_router(checks),
        ]
        return Serving(build_app(routers, emit, version("shuqiao")), lines, pulse)

    def connect_role(self, tell: Callable[[str], None], dataset: str = "") -> ConnectRole:
        """The connectors as a role, for one dataset or for all that have mappings."""

        known: dict[tuple[object, ...], list[tuple[str, Callable[[], Runner]]]] = {}

        def runners() -> list[tuple[str, Callable[[], Runner]]]:
            # reading mappings costs more than an idle source: again when one changed, and
            # once a minute for sources that are new
            files = sorted(self.settings.mappings_path.glob("*.yaml"))
            state = (int(time.monotonic() // 60), *((one, one.stat().st_mtime_ns) for one in files))
            if state not in known:
                mappings = self.mappings()
                names = sorted({one.dataset for one in mappings if dataset in ("", one.dataset)})
                known.clear()
                known[state] = [(name, partial(self.runner, name, mappings)) for name in names]
            return known[state]

        return ConnectRole(
            runners,
            self.hold,
            tell,
            limit=self.settings.batch,
            pause=self.settings.poll_seconds,
        )

    def mappings(self) -> list[Mapping]:
        """Every mapping of the state folder, one a source."""
        folder = self.settings.mappings_path
        files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
        if not files:
            raise MappingError(
                "there is no mapping",
                where=str(folder),
                mend="put a mapping file there; connectors/samples/mappings has six to start from",
            )
        found = [
            mapping
            for file in files
            for mapping in load_mapping(file, self.catalog, self.settings.sources_path)
        ]
        named: dict[tuple[str, str], Mapping] = {}
        for mapping in found:
            other = named.setdefault((mapping.dataset, mapping.name), mapping)
            if other is not mapping:
                raise MappingError(
                    f"two sources of {mapping.dataset} are named {mapping.name}",
                    where=mapping.file,
                    mend=f"give one another name, or remove it; the other stands in {other.file}",
                )
        return found

    def source(self, mapping: Mapping) -> Source:
        """The source that a mapping describes."""
        if mapping.kind == "csv":
            return CsvDrops(mapping, self.converter(mapping).key, self.settings.settle)
        return SqlTable(
            mapping,
            self.catalog.dataset(mapping.dataset),
            settle=self.settings.settle,
            overlap=self.settings.overlap,
            secret=self.dataset_key("row", self.catalog.dataset(mapping.dataset)),
        )

    def dataset_key(self, name: str, dataset: Dataset) -> bytes:
        """A secret of a dataset, made with its collected topic and never again."""
        there = dataset.collected_topic in self.log.topics()
        name = f"{name}.{dataset.id}"
        return self.keyring.key(name) if there else self.keyring.ensure(name)

    def converter(self, mapping: Mapping) -> Converter:
        """The converter of a mapping."""
        return Converter(self.catalog.dataset(mapping.dataset), mapping, self.divisions)

    def runner(self, dataset: str, mappings: list[Mapping]) -> Runner:
        """The runner of one dataset, for all its sources."""
        found = self.catalog.dataset(dataset)
        return Runner(
            found,
            [
                Supply(self.source(mapping), self.converter(mapping))
                for mapping in mappings
                if mapping.dataset == dataset
            ],
            log=self.log,
            sealer=self.sealer,
            secrets=Secrets(self.dataset_key("record", found), self.dataset_key("row", found)),
            schema_id=self.registry.schema_id(found.schema),
            emit=self.telemetry.emit,
        )

    def close(self) -> None:
        """Give back files and connections, of what was built."""
        for name in ("log", "store", "telemetry"):
            if name in self.__dict__:
                self.__dict__[name].close()


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Broker]:
    """A broker over the settings of this process, closed at the end."""
    broker = Broker(settings or load_settings())
    try:
        yield broker
    finally:
        broker.close()
