"""Where the cluster is and who we are there, as each client wants to be told.

Law: what is not on loopback is reached encrypted or not at all.
"""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.address import is_loopback
from broker.errors import SettingsError
from broker.log.kafka.refusals import away

DELIVERY_SECONDS = 5
"""How long a transaction may take before it is given up: whoever takes the work over waits for
that of a dead worker, and for the broker to notice (every 10 seconds by default)."""

ANSWER_SECONDS = 15.0
"""How long the cluster's answer is waited for."""

SESSION_MS = 6_000
"""How long the group waits for a member that says nothing."""

MESSAGE_BYTES = 15_000_000
"""The largest message: the largest record, and what stands around it."""

_SILENCE = 2.0

MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Address:
    """`servers` is `host:port,…`; `user` is empty where nobody says who he is (loopback alone);
    `authority` is the PEM file of who signed the brokers' certificates."""

    servers: str
    user: str = ""
    password: str = ""
    authority: Path | None = None

    def check(self) -> None:
        """`SettingsError` where a server has no port, the authority's file no certificate, or
        another machine would be reached in plain text."""
        for server in self.servers.split(","):
            host, port = _parts(server)
            if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
                raise SettingsError(
                    f"{server.strip()!r} is not a server with its port",
                    where="setting kafka_servers",
                    mend="host:port, several with commas between",
                )
            if self.authority is None and not is_loopback(host):
                raise SettingsError(
                    f"{host} would be reached in plain text",
                    where="setting kafka_servers",
                    mend="name kafka_ca, and the port of a listener with TLS",
                )
        self._context()

    def _context(self) -> ssl.SSLContext | None:
        """Whom to trust; None where nothing is encrypted."""
        if self.authority is None:
            return None
        try:
            return ssl.create_default_context(cafile=str(self.authority))
        except OSError:  # also what ssl says of a file without a certificate
            raise SettingsError(
                f"{self.authority} has no certificate, or cannot be read",
                where="setting kafka_ca",
                mend="name the PEM file of who signed the brokers' certificates",
            ) from None

    def answering(self) -> list[str]:
        """The servers where somebody says something within two seconds: kafka-python waits for
        ever for one that takes a connection and is silent."""
        context = self._context()
        servers = [one.strip() for one in self.servers.split(",")]
        return [one for one in servers if _says_something(one, context)]

    def librdkafka(self) -> dict[str, Any]:
        """As librdkafka's clients are configured."""
        found: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "security.protocol": self._protocol,
            "topic.metadata.propagation.max.ms": 3_000,
            "reconnect.backoff.max.ms": 2_000,
            "socket.timeout.ms": 5_000,
        }
        if self.authority is not None:
            found["ssl.ca.location"] = str(self.authority)
        if self.user:
            found |= {
                "sasl.mechanism": MECHANISM,
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        return found

    def pure(self) -> dict[str, Any]:
        """As kafka-python's clients are configured; `LogError` where nobody answers."""
        servers = self.answering()
        if not servers:
            raise away()
        found: dict[str, Any] = {
            "bootstrap_servers": servers,
            "security_protocol": self._protocol,
            "reconnect_backoff_max_ms": 2_000,
        }
        if self.authority is not None:
            found["ssl_cafile"] = str(self.authority)
        if self.user:
            found |= {
                "sasl_mechanism": MECHANISM,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return found

    @property
    def _protocol(self) -> str:
        kind = "SSL" if self.authority is not None else "PLAINTEXT"
        return f"SASL_{kind}" if self.user else kind


def _parts(server: str) -> tuple[str, str]:
    """Host and port."""
    host, _, port = server.strip().rpartition(":")
    return host.strip("[]"), port


def _says_something(server: str, context: ssl.SSLContext | None) -> bool:
    """Whether the handshake comes to an end, well or not; in plain text, whether anybody
    listens."""
    host, port = _parts(server)
    try:
        with socket.create_connection((host, int(port)), timeout=_SILENCE) as there:
            if context is not None:
                context.wrap_socket(there, server_hostname=host).close()
    except ssl.SSLError:
        return True  # what is wrong with it the client says
    except (OSError, ValueError):
        return False
    return True
