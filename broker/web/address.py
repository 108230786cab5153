"""Where HTTP and the metrics are listened for.

Law: a name that others can reach is served with TLS or not at all. A port that cannot be
had is named with its setting.
"""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from broker.errors import SettingsError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 of HTTP is any that is free, of the metrics none at all.
    `certificate` and `private_key` are PEM files, or None."""

    host: str
    port: int
    metrics_port: int
    certificate: Path | None = None
    private_key: Path | None = None

    def check(self) -> None:
        """`SettingsError` where others could reach it without TLS."""
        if (self.certificate is None) != (self.private_key is None):
            raise SettingsError(
                "one of http_certificate and http_private_key is missing", mend="state both"
            )
        if self.certificate is None and not _is_loopback(self.host):
            raise SettingsError(
                f"{self.host} can be reached from outside, and there is no TLS",
                where="setting http_host",
                mend="state http_certificate and http_private_key, or listen on 127.0.0.1",
            )

    def ports(self) -> Iterator[tuple[str, str, int]]:
        """(setting, host, port) of every port that was chosen."""
        if self.port:
            yield "http_port", self.host, self.port
        if self.metrics_port:
            yield "metrics_port", LOOPBACK, self.metrics_port

    def context(self) -> ssl.SSLContext | None:
        """The certificate as it is served; None without TLS."""
        if self.certificate is None or self.private_key is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.private_key)
        except (OSError, ssl.SSLError):
            raise SettingsError(
                "the certificate or its private key cannot be used",
                where=f"{self.certificate}, {self.private_key}",
                mend="PEM files that belong together, readable by this user",
            ) from None
        return context


def listening(setting: str, host: str, port: int) -> socket.socket:
    """A socket that listens there; `SettingsError` where it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named, or asyncio lets small answers wait for an acknowledgement
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(1024)
    except OSError as error:
        found.close()
        raise taken(setting, host, port, error) from None
    found.setblocking(False)
    return found


def taken(setting: str, host: str, port: int, error: OSError) -> SettingsError:
    """A port that cannot be had."""
    return SettingsError(
        f"{host}:{port} cannot be listened on ({error.strerror})",
        where=f"setting {setting} (SHUQIAO_{setting.upper()})",
        mend="choose another, or end what listens there",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
