"""A secured Apache Kafka on this machine: one node or three, made once, started and stopped.

Law: it lives in one folder; what is needed to use it stands there in `shuqiao.yaml`, readable by
its owner alone. Only processes that were started here are ended, by their ids.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from deploy.kafka.authority import certify, write_secret
from deploy.kafka.node import ADMIN, Node

POM = Path(__file__).with_name("pom.xml")
LIBRARIES = Path(__file__).with_name("target") / "libs"
_START = 60.0
_STOP = 20.0


class NoKafka(Exception):
    """Why a Kafka cannot be had here, and what to do."""


def missing() -> str:
    """What of Java and Maven is not on this machine; empty where nothing is."""
    names = [name for name in ("java", "mvn") if shutil.which(name) is None]
    return f"{' and '.join(names)} not found: install Java 17 and Maven" if names else ""


def fetch_libraries(pom: Path = POM, libraries: Path | None = None) -> Path:
    """The folder of the jars that a pom names (Kafka's own), brought by Maven the first time."""
    libraries = libraries or LIBRARIES
    complete = libraries.with_name("complete")
    if (lacking := missing()) and not (complete.exists() and shutil.which("java")):
        raise NoKafka(lacking)
    libraries.parent.mkdir(parents=True, exist_ok=True)
    with libraries.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
        if not complete.exists():
            _fetch(pom, libraries)
            complete.touch()
    return libraries


def _fetch(pom: Path, libraries: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={libraries}"]
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(pom), *goal], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoKafka(f"Maven could not bring the jars: {done.stdout[-500:]}")


class Cluster:
    """The cluster of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._described = self.folder / "cluster.json"
        self._nodes: list[Node] = []
        self._started: dict[int, subprocess.Popen[bytes]] = {}
        if self._described.exists():
            known = json.loads(self._described.read_text("utf-8"))
            self._nodes = [self._node(number, *ports) for number, ports in enumerate(known, 1)]

    @property
    def nodes(self) -> list[Node]:
        """Its nodes; none before it was made."""
        return self._nodes

    @property
    def servers(self) -> str:
        """Where clients begin."""
        return ",".join(node.address for node in self._nodes)

    @property
    def settings(self) -> Mapping[str, str]:
        """What ShuQiao needs to use it."""
        return {
            "kafka_servers": self.servers,
            "kafka_user": ADMIN,
            "kafka_password_file": str(self.folder / "password"),
            "kafka_ca": str(self.folder / "security" / "ca.pem"),
        }

    def make(self, count: int, wanted: Mapping[str, str] | None = None) -> None:
        """Make it with so many nodes, nothing where it is made; `wanted` are further
        properties of every node."""
        if self._nodes:
            if len(self._nodes) != count:
                raise NoKafka(
                    f"the cluster in {self.folder} has {len(self._nodes)} nodes: end it and "
                    "remove the folder, or name another"
                )
            return
        libraries = fetch_libraries()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ports = _free_ports(3 * count)
        groups = [ports[3 * n : 3 * n + 3] for n in range(count)]
        nodes = [self._node(number, *three) for number, three in enumerate(groups, 1)]
        security = self.folder / "security"
        certify(security, [f"node{node.number}" for node in nodes])
        password = secrets.token_urlsafe(24)
        write_secret(self.folder / "password", password.encode())
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for node in nodes:
            node.folder.mkdir()
            node.write_properties(nodes, security, dict(wanted or {}))
            node.format(libraries, cluster, password)
        self._nodes = nodes
        lines = "".join(f"{name}: {value}\n" for name, value in self.settings.items())
        write_secret(self.folder / "shuqiao.yaml", lines.encode())
        self._described.write_text(json.dumps(groups), "utf-8")

    def start(self) -> None:
        """Start the nodes that do not run, and wait until all have started."""
        libraries = fetch_libraries()
        for node in self._nodes:
            if not self.pid(node):
                process = self._started[node.number] = node.start(libraries)
                (node.folder / "pid").write_text(str(process.pid), "utf-8")
        until = time.monotonic() + _START
        for node in self._nodes:
            while not node.has_started():
                if not self.pid(node) or time.monotonic() > until:
                    said = node.output.read_text("utf-8", "replace")[-800:]
                    self.stop()
                    raise NoKafka(f"node {node.number} does not start: {said}")
                time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End its processes; how many there were."""
        running = [node for node in self._nodes if self.pid(node)]
        for node in running:
            self.end(node, number)
        until = time.monotonic() + _STOP
        for node in running:
            while self.pid(node):
                if time.monotonic() > until:
                    self.end(node, signal.SIGKILL)
                time.sleep(0.05)
        return len(running)

    def end(self, node: Node, number: signal.Signals) -> None:
        """Send a node's process a signal."""
        if pid := self.pid(node):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def pid(self, node: Node) -> int:
        """The id of a node's process; 0 where it does not run."""
        if (child := self._started.get(node.number)) and child.poll() is None:
            return child.pid
        try:
            pid = int((node.folder / "pid").read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return 0
        found = subprocess.run(
            ["ps", "-ww", "-o", "stat=,args=", "-p", str(pid)],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        lives = found and not found.startswith("Z")
        return pid if lives and str(node.folder) in found else 0

    def _node(self, number: int, client: int, broker: int, controller: int) -> Node:
        return Node(number, self.folder / f"node{number}", client, broker, controller)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        made = (socket.create_server(("127.0.0.1", 0)) for _ in range(count))
        return [stack.enter_context(one).getsockname()[1] for one in made]
