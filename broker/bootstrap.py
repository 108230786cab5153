"""Builds every object: the only wiring.

Law: nothing is built before it is asked for, everything is built once, and each
part gets what it needs through its constructor.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from broker.catalog import Catalog, load_catalog
from broker.divisions import Divisions, load_divisions
from broker.errors import MappingError
from broker.keyring import Keyring
from broker.log.embedded import EmbeddedLog
from broker.policy.load import load_policy
from broker.policy.model import Policy
from broker.registry import Registry
from broker.relay.worker import Progress, Relay
from broker.seal import Sealer
from broker.settings import Settings
from broker.sharing.service import Sharing
from broker.store.engine import Store, open_store
from broker.telemetry import BatchRelayed, Telemetry
from connectors.mapping import Mapping, load_mapping
from connectors.runner import Runner


class Broker:
    """One city's broker over one state folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log: EmbeddedLog | None = None
        self._store: Store | None = None

    @cached_property
    def divisions(self) -> Divisions:
        """The division table."""
        return load_divisions(self.settings.schemas_dir / "divisions.csv")

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue; raises where a schema is wrong."""
        return load_catalog(self.settings.schemas_dir)

    @property
    def today(self) -> date:
        """The day in the city's time zone."""
        return datetime.now(ZoneInfo(self.settings.timezone)).date()

    @cached_property
    def policy(self) -> Policy:
        """The policy in force today: the shipped files and those of the state folder."""
        folders = [self.settings.policies_dir]
        if self.settings.extra_policies_dir.is_dir():
            folders.append(self.settings.extra_policies_dir)
        return load_policy(folders, self.catalog, self.today)

    @cached_property
    def keyring(self) -> Keyring:
        """The keyring; made on first use."""
        return Keyring.open(self.settings.keyring_path)

    @cached_property
    def sealer(self) -> Sealer:
        """Seals and opens collected records."""
        return Sealer(self.keyring)

    @cached_property
    def telemetry(self) -> Telemetry:
        """Named events: a log line and a metric each."""
        return Telemetry(self.settings.events_path)

    @property
    def log(self) -> EmbeddedLog:
        """The embedded log."""
        if self._log is None:
            self._log = EmbeddedLog(self.settings.log_path)
        return self._log

    @property
    def store(self) -> Store:
        """The control store, at its newest schema."""
        if self._store is None:
            self._store = open_store(self.settings.store_url)
        return self._store

    @cached_property
    def registry(self) -> Registry:
        """Schemas by id."""
        return Registry(self.store)

    @cached_property
    def sharing(self) -> Sharing:
        """Consumers, grants and shares."""
        return Sharing(
            self.store, self.catalog, self.divisions, self.registry, self.keyring, self.policy
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
            observe=self._relayed,
        )

    def _relayed(self, dataset: str, progress: Progress) -> None:
        self.telemetry.emit(
            BatchRelayed(
                dataset=dataset,
                read=progress.read,
                written=progress.written,
                tombstones=progress.tombstones,
                quarantined=progress.quarantined,
            )
        )

    def mappings(self) -> list[Mapping]:
        """Every mapping of the state folder, one entry per source."""
        folder = self.settings.mappings_dir
        files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
        if not files:
            raise MappingError(
                "there is no mapping",
                where=str(folder),
                mend="put a mapping file there, or run `./run demo` once for samples",
            )
        return [
            mapping
            for file in files
            for mapping in load_mapping(file, self.catalog, folder=self.settings.sources_dir)
        ]

    def runner(self, dataset: str, mappings: list[Mapping]) -> Runner:
        """The runner of one dataset, for all its sources."""
        return Runner(
            self.catalog.dataset(dataset),
            [mapping for mapping in mappings if mapping.dataset == dataset],
            log=self.log,
            sealer=self.sealer,
            keyring=self.keyring,
            registry=self.registry,
            divisions=self.divisions,
        )

    def close(self) -> None:
        """Give back files."""
        if self._log is not None:
            self._log.close()
        if self._store is not None:
            self._store.engine.dispose()


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Broker]:
    """A broker over the settings of the environment, closed at the end."""
    broker = Broker(settings or Settings())
    try:
        yield broker
    finally:
        broker.close()


def sample_mappings() -> Path:
    """The mappings of the synthetic departments, as shipped."""
    import connectors.samples

    return Path(next(iter(connectors.samples.__path__))) / "mappings"
