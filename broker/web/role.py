"""`serve`: HTTP for consumers, as a role.

Law: a name that others can reach is served with TLS or not at all. Stopping ends what is
open at once: who waits is told to ask again, and nothing of the rest looks whole.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from starlette.types import ASGIApp
from uvicorn import Config, Server

from broker.errors import SettingsError
from broker.web.lines import Lines
from broker.web.pulse import Pulse

_STOPPED = 1
"""Seconds that what is open has to end when the role is stopped."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `certificate` and `private_key` are PEM files, or None."""

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


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served: made in the server's own loop."""

    app: ASGIApp
    lines: Lines
    pulse: Pulse


class ServeRole:
    """The role. `make` builds what is served; `tell` hears where it can be reached."""

    name = "serve"

    def __init__(
        self,
        address: Address,
        make: Callable[[], Serving],
        metrics: CollectorRegistry,
        tell: Callable[[str], None],
    ) -> None:
        address.check()
        self._address = address
        self._make = make
        self._metrics = metrics
        self._tell = tell
        self.url = ""

    def run(self, stop: threading.Event) -> None:
        """See `Role`."""
        context = self._context()
        listening = _listening(self._address.host, self._address.port)
        try:
            closed = self._serve_metrics()
            try:
                asyncio.run(self._serve(stop, listening, context))
            finally:
                closed()
        finally:
            listening.close()

    def close(self) -> None:
        """See `Role`."""

    async def _serve(
        self, stop: threading.Event, listening: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        serving = self._make()
        config = Config(
            serving.app,
            http=serving.lines.protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_STOPPED,
            ssl_context_factory=(lambda config, default: context) if context else None,
        )
        # its lines would show addresses and paths, and the text of foreign errors
        logging.getLogger("uvicorn").disabled = True
        logging.getLogger("uvicorn.error").disabled = True
        server = Server(config)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://{self._address.host}:{listening.getsockname()[1]}"
        self._tell(self.url)
        ended = threading.Event()
        beating = threading.Thread(target=serving.pulse.run, args=(ended,), name="pulse")
        watching = asyncio.ensure_future(serving.lines.watch())
        _stop_with(stop, server, serving.lines)
        beating.start()
        try:
            await server.serve([listening])
        finally:
            ended.set()
            watching.cancel()
            await asyncio.to_thread(beating.join)

    def _context(self) -> ssl.SSLContext | None:
        certificate, key = self._address.certificate, self._address.private_key
        if certificate is None or key is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError):
            raise SettingsError(
                "the certificate or its private key cannot be used",
                where=f"{certificate}, {key}",
                mend="PEM files that belong together, readable by this user",
            ) from None
        return context

    def _serve_metrics(self) -> Callable[[], None]:
        """Serve the metrics on a listener of their own; what ends that."""
        port = self._address.metrics_port
        if not port:
            return lambda: None
        try:
            server, thread = start_http_server(port, "127.0.0.1", self._metrics)
        except OSError as error:
            raise _taken("metrics_port", f"127.0.0.1:{port}", error) from None

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end


def _stop_with(stop: threading.Event, server: Server, lines: Lines) -> None:
    """Let the server end when `stop` is set; in its loop."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        lines.stop()
        server.should_exit = True

    def wait() -> None:
        stop.wait()
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(end)

    threading.Thread(target=wait, name="serve-stop", daemon=True).start()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named, or asyncio lets small answers wait for an acknowledgement
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(1024)
    except OSError as error:
        found.close()
        raise _taken("http_port", f"{host}:{port}", error) from None
    found.setblocking(False)
    return found


def _taken(setting: str, place: str, error: OSError) -> SettingsError:
    return SettingsError(
        f"{place} cannot be listened on ({error.strerror})",
        where=f"setting {setting}",
        mend="choose another, or end what listens there",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
