"""Builds every object: the only wiring.

Law: nothing is built before it is asked for, everything is built once, and each part
gets what it needs through its constructor.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from broker.controller import Controller
from broker.errors import SettingsError
from broker.log.embedded import EmbeddedLog
from broker.migration import Migration
from broker.policy.model import Policy
from broker.relay.display import Display
from broker.relay.lag import LagCollector
from broker.relay.reconcile import Reconciler
from broker.relay.role import RelayRole
from broker.relay.worker import Relay
from broker.roles import Role
from broker.settings import Settings, load_settings
from broker.sharing.credentials import Credentials, no_cluster
from broker.sharing.emergency import Emergency
from broker.sharing.ends import Ends
from broker.sharing.given import Given
from broker.sharing.keys import ApiKeys
from broker.sharing.life import Life
from broker.sharing.publishing import Publisher
from broker.sharing.pulls import Pulls
from broker.sharing.reading import Reading
from broker.sharing.service import Sharing
from broker.sharing.unanswered import Unanswered
from broker.sharing.versions import Versions
from broker.sources import Sources
from broker.store.lease import Lease
from broker.topics_check import TopicsCheck
from broker.web.access import Access
from broker.web.address import Address
from broker.web.app import build_app
from broker.web.cursor import Cursors
from broker.web.delivery import Delivery
from broker.web.front import front_router
from broker.web.health import health_router
from broker.web.lines import Lines
from broker.web.pulse import Pulse
from broker.web.records_api import Desk, records_router
from broker.web.registry_api import registry_router
from broker.web.registry_writing import registry_writing_router
from broker.web.rights import Rights
from broker.web.role import ServeRole, Serving
from broker.web.waiting import Waiting


class Broker(Sources):
    """One city's broker over one state folder."""

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
    def sharing(self) -> Sharing:
        """Consumers, grants and shares."""
        return Sharing(
            self.store,
            self.catalog,
            self.divisions,
            self.registry,
            self.versions,
            lambda: self.today,
            self.settings.registry_url,
        )

    @cached_property
    def publisher(self) -> Publisher | None:
        """Publishes schemas elsewhere; None where our own registry is all there is."""
        if not self.settings.registry_url:
            return None
        return Publisher(
            self.store,
            self.registry,
            self.settings.registry_url,
            lambda: self.elsewhere,
            Lease(self.store, "publisher"),
            list(self.catalog.datasets.values()),
            lambda: self.log.topics(),
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
            self.reading,
            self.telemetry.emit,
        )

    @cached_property
    def credentials(self) -> Credentials:
        """The consumers' users on the cluster."""
        return Credentials(self.cluster, self.log)

    @cached_property
    def ends(self) -> Ends:
        """This machine's copy of the end dates."""
        return Ends(self.settings.ends_path)

    @cached_property
    def emergency(self) -> Emergency:
        """Rights that end whether or not the store answers."""
        return Emergency(self.log, self.cluster, self.ends, self.unanswered)

    @cached_property
    def unanswered(self) -> Unanswered:
        """Fetches that wait at a broker with a right that has ended."""
        return Unanswered(self.log, self.cluster)

    @cached_property
    def reading(self) -> Reading:
        """The consumers' rights on the cluster."""
        return Reading(
            self.sharing,
            self.given,
            self.cluster,
            self.credentials,
            self.emergency,
            self.unanswered,
            self.telemetry.emit,
        )

    @cached_property
    def given(self) -> Given:
        """What stands of shared topics and whom they were given to."""
        return Given(self.store, lambda: self.today)

    @property
    def topics_check(self) -> TopicsCheck:
        """What stands on the cluster, against what should; raises where the log is a file."""
        if self.cluster is None:
            raise no_cluster("`shuqiao doctor` looks at the file")
        return TopicsCheck(
            self.cluster, self.log, self.catalog, self.given, self.credentials, self.reading
        )

    @contextmanager
    def migration(self) -> Iterator[Migration]:
        """From this folder's own log to the cluster that the settings name."""
        if not self.settings.kafka_servers:
            raise no_cluster("name the cluster to migrate to")
        if not self.settings.log_path.exists():
            raise SettingsError(
                "there is no log to migrate from",
                where=str(self.settings.log_path),
                mend="`shuqiao up` begins on the cluster",
            )
        source, target = EmbeddedLog(self.settings.log_path), self.kafka_log()
        self.__dict__["log"] = source  # shares are closed where they are
        try:
            datasets = list(self.catalog.datasets.values())
            yield Migration(source, target, datasets, lambda: self.sealer)
        finally:
            target.close()

    def retire_shares(self) -> None:
        """Close every share where it is; each grant gets another."""
        self.sharing.retire()
        self.life.close()

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
        return Reconciler(self.log, self.sealer, self.relay.reference_plan)

    def relay_role(self) -> RelayRole:
        """The relay as a role."""
        return RelayRole(
            self.relay,
            self.log,
            list(self.catalog.datasets.values()),
            self.sharing.shares,
            self.sharing.revision,
            None if self.settings.kafka_servers else self.hold,
            self.telemetry.emit,
        )

    def controlling(self) -> list[Role]:
        """The controller, and what publishes beside it where there is where to."""
        return [self.controller_role(), *([self.publisher] if self.publisher else [])]

    def controller_role(self) -> Controller:
        """The controller as a role."""
        return Controller(
            self.sharing,
            self.life,
            Lease(self.store, "controller"),
            self.log,
            list(self.catalog.datasets),
            today=lambda: self.today,
            ends=self.ends,
            emergency=self.emergency,
            display=Display(self.log, list(self.catalog.datasets.values()), self.sharing.shares),
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

    @property
    def address(self) -> Address:
        """Where HTTP is listened for."""
        settings = self.settings
        return Address(
            settings.http_host,
            settings.http_port,
            settings.metrics_port,
            settings.http_certificate,
            settings.http_private_key,
        )

    def serve_role(self, tell: Callable[[str], None]) -> ServeRole:
        """HTTP as a role; `tell` hears where it can be reached."""
        registry = self.telemetry.registry
        datasets = list(self.catalog.datasets.values())
        registry.register(LagCollector(lambda: self.log, datasets, lambda: self.sharing.shares()))
        return ServeRole(self.address, self._serving, registry, self.hold, tell)

    def _serving(self) -> Serving:
        rights = Rights(self.sharing, self.api_keys, self.catalog)
        emit, settings = self.telemetry.emit, self.settings
        delivery = Delivery(self.log, rights, self.pulls, self.catalog, emit, self.confirm)
        pulse = Pulse(self.log)
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
            registry_writing_router(caller, rights),
            health_router(checks),
            front_router(),
        ]
        return Serving(build_app(routers, emit, version("shuqiao")), lines, pulse)


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Broker]:
    """A broker over the settings of this process, closed at the end."""
    broker = Broker(settings or load_settings())
    try:
        yield broker
    finally:
        broker.close()
