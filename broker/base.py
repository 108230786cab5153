"""What every part of an installation stands on: catalogue, log, store, keyring, telemetry.

Law: nothing is built before it is asked for, and everything is built once.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from broker.catalog import Catalog, load_catalog
from broker.divisions import Divisions, load_divisions
from broker.errors import SettingsError
from broker.hold import Hold, Presence
from broker.keyring import Keyring
from broker.log.cluster import Cluster
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Log
from broker.migration import must_be_carried_over
from broker.model import Dataset
from broker.registry import Registry
from broker.seal import Sealer, open_sealer
from broker.settings import Settings
from broker.store.engine import Store, open_store
from broker.telemetry import Telemetry

if TYPE_CHECKING:
    from broker.external_registry import ExternalRegistry


class Base:
    """One installation over one state folder."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`clock` gives the time now, with its zone."""
        self.settings = settings
        self.clock = clock
        self._at_work = ExitStack()

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
        """The log: a file, or a cluster where the settings name one. Who has it is at work in the
        state folder."""
        with ExitStack() as work:
            work.enter_context(self.presence.among())
            log = self._opened_log()
            self._at_work = work.pop_all()
        return log

    def _opened_log(self) -> Log:
        if not self.settings.kafka_servers:
            return EmbeddedLog(self.settings.log_path)
        log = self.kafka_log()
        try:
            must_be_carried_over(log, self.settings.log_path)
        except BaseException:
            log.close()
            raise
        return log

    def kafka_log(self) -> Log:
        """The log on the cluster that the settings name, whatever this folder has."""
        settings = self.settings
        from broker.log.kafka.opened import kafka_log

        return kafka_log(
            settings.kafka_servers,
            settings.kafka_user,
            settings.kafka_password_file,
            settings.kafka_ca,
            settings.kafka_transport,
            settings.state,
        )

    @cached_property
    def cluster(self) -> Cluster | None:
        """Users and rights beside the log; None where that is a file."""
        settings = self.settings
        if not settings.kafka_servers:
            return None
        from broker.log.kafka.opened import kafka_cluster

        return kafka_cluster(
            settings.kafka_servers,
            settings.kafka_user,
            settings.kafka_password_file,
            settings.kafka_ca,
        )

    @cached_property
    def store(self) -> Store:
        """The control store, at its newest form."""
        return open_store(self.settings.store_url, self.settings.store_password_file)

    @cached_property
    def registry(self) -> Registry:
        """Schemas by id."""
        return Registry(self.store)

    @cached_property
    def elsewhere(self) -> "ExternalRegistry":
        """The registry that the settings name; `SettingsError` where they cannot be used."""
        settings = self.settings
        from broker.external_registry import ExternalRegistry, RegistryAddress

        secret, file = "", settings.registry_password_file
        try:
            secret = file.read_text("utf-8").strip() if file else ""
        except OSError:
            raise SettingsError(
                "the password cannot be read",
                where="setting registry_password_file",
                mend="name a file that this user may read",
            ) from None
        user, authority = settings.registry_user, settings.registry_ca
        return ExternalRegistry(RegistryAddress(settings.registry_url, user, secret, authority))

    def hold(self, name: str) -> Hold:
        """A hold of this installation."""
        return Hold(self.settings.holds_path, name)

    @property
    def presence(self) -> Presence:
        """Who is at work in the state folder."""
        return Presence(self.settings.holds_path)

    def dataset_key(self, name: str, dataset: Dataset) -> bytes:
        """A secret of a dataset, made with its collected topic and never again."""
        there = dataset.collected_topic in self.log.topics()
        name = f"{name}.{dataset.id}"
        return self.keyring.key(name) if there else self.keyring.ensure(name)

    def confirm(self) -> None:
        """`Replaced` where a file of what was built was deleted, or another stands in its place."""
        for name in ("log", "store", "keyring"):
            if name in self.__dict__:
                self.__dict__[name].confirm()

    def close(self) -> None:
        """Give back files and connections, of what was built."""
        for name in ("log", "cluster", "elsewhere", "store", "telemetry"):
            if self.__dict__.get(name) is not None:
                self.__dict__[name].close()
        self._at_work.close()
