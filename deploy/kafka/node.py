"""One node of a cluster on this machine: its properties, its storage, its process.

Law: every listener is on loopback and encrypted; clients come with SCRAM, nodes with a
certificate of the same authority; who has no right that was granted has none.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.kafka.authority import NODE

ADMIN = "shuqiao"
"""The broker's own user; no consumer may have that name."""

_HEAP = "512m"
_STARTED = "Kafka Server started"
_LOGGED = {"defaultLogLevel": "warn", "log.kafka.server.KafkaRaftServer": "info"}


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its number from 1, its folder, its ports for clients, nodes and controllers."""

    number: int
    folder: Path
    client: int
    broker: int
    controller: int

    @property
    def address(self) -> str:
        """Where clients reach it."""
        return f"127.0.0.1:{self.client}"

    @property
    def output(self) -> Path:
        """What its process says."""
        return self.folder / "output.log"

    def has_started(self) -> bool:
        """Whether it has said so since its process began."""
        return self.output.exists() and _STARTED in self.output.read_text("utf-8", "replace")

    def write_properties(self, nodes: "list[Node]", security: Path, wanted: dict[str, str]) -> Path:
        """Its properties as a file. `security` holds the certificates."""
        copies = min(3, len(nodes))
        listeners = {"CLIENT": self.client, "BROKER": self.broker, "CONTROLLER": self.controller}
        places = {name: f"{name}://127.0.0.1:{port}" for name, port in listeners.items()}
        properties = {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": ",".join(
                f"{one.number}@127.0.0.1:{one.controller}" for one in nodes
            ),
            "listeners": ",".join(places.values()),
            "advertised.listeners": f"{places['CLIENT']},{places['BROKER']}",
            "listener.security.protocol.map": "CLIENT:SASL_SSL,BROKER:SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "listener.name.broker.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
            "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.client.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": security / f"node{self.number}.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": security / "ca.pem",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:CN={NODE}",
            "allow.everyone.if.no.acl.found": "false",
            "connections.max.reauth.ms": 60_000,
            "auto.create.topics.enable": "false",
            # a deleted topic's files go at once, not after a minute
            "log.segment.delete.delay.ms": 1_000,
            "log.dirs": self.folder / "data",
            "default.replication.factor": copies,
            "min.insync.replicas": min(2, copies),
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": min(2, copies),
            "offsets.topic.num.partitions": 6,
            "transaction.state.log.num.partitions": 6,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": min(2, copies),
            "group.initial.rebalance.delay.ms": 0,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
            **wanted,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return path

    def format(self, libraries: Path, cluster: str, password: str) -> None:
        """Make its storage, with the broker's own user."""
        user = f"SCRAM-SHA-512=[name={ADMIN},password={password}]"
        # with `=`, as an id may begin with a dash
        words = [f"--cluster-id={cluster}", f"--config={self.folder / 'server.properties'}"]
        tool = [*_java(libraries, "64m"), "kafka.tools.StorageTool", "format"]
        command = [*tool, *words, f"--add-scram={user}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"node {self.number} cannot make its storage: {done.stderr[-500:]}")

    def start(self, libraries: Path) -> "subprocess.Popen[bytes]":
        """Its process; it says when it has started."""
        logged = [f"-Dorg.slf4j.simpleLogger.{name}={level}" for name, level in _LOGGED.items()]
        properties = str(self.folder / "server.properties")
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [*_java(libraries, _HEAP), *logged, "kafka.Kafka", properties],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder,
                start_new_session=True, env=os.environ | {"LC_ALL": "C.UTF-8"},
            )  # fmt: skip


def _java(libraries: Path, heap: str) -> list[str]:
    return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-cp", f"{libraries}/*"]
