"""Where the cluster is and who we are there, as each client wants to be told.

Law: what is not on loopback is reached encrypted or not at all.
"""

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.address import is_loopback
from broker.errors import SettingsError

DELIVERY_SECONDS = 5
"""How long a transaction may take before it is given up: whoever takes the work over waits for
that of a dead worker, and for the broker to notice (every 10 seconds by default)."""

ANSWER_SECONDS = 15.0
"""How long the cluster's answer is waited for."""

SESSION_MS = 6_000
"""How long the group waits for a member that says nothing."""

MESSAGE_BYTES = 15_000_000
"""The largest message: the largest record, and what stands around it."""

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
        """`SettingsError` where it would be reached in plain text from another machine."""
        if self.authority is not None:
            return
        hosts = [one.rpartition(":")[0].strip("[] ") for one in self.servers.split(",")]
        if far := [host for host in hosts if not is_loopback(host)]:
            raise SettingsError(
                f"{far[0]} would be reached in plain text",
                where="setting kafka_servers",
                mend="name kafka_ca, and the port of a listener with TLS",
            )

    def answers(self) -> bool:
        """Whether anything listens at one of the servers."""
        for server in self.servers.split(","):
            host, _, port = server.strip().rpartition(":")
            with suppress(OSError, ValueError):
                socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
                return True
        return False

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
        """As kafka-python's clients are configured."""
        found: dict[str, Any] = {
            "bootstrap_servers": self.servers.split(","),
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
