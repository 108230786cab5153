"""`serve`: HTTP for consumers, as a role.

Law: what it needs (ports, certificate) can be taken before it runs, so that a start without
it fails; where another process of this installation serves there, this one stands by.
Stopping ends what is open at once: who waits is told to ask again, and nothing of the rest
looks whole. Nothing is served while nobody watches the rights of what is open.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, start_http_server
from starlette.types import ASGIApp
from uvicorn import Config, Server

from broker.errors import SettingsError
from broker.hold import Hold
from broker.web.address import LOOPBACK, Address, listening, taken
from broker.web.lines import Lines
from broker.web.pulse import Pulse

_STAND_BY = 0.5
"""Seconds between two looks of who stands by."""

_STOPPED = 1
"""Seconds that what is open has to end when the role is stopped."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served: made in the server's own loop."""

    app: ASGIApp
    lines: Lines
    pulse: Pulse


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a run needs; `held` gives it back."""

    listening: socket.socket
    context: ssl.SSLContext | None
    held: ExitStack


class ServeRole:
    """The role. `make` builds what is served; `hold` gives the hold of a name, `tell` hears
    where it can be reached."""

    name = "serve"

    def __init__(
        self,
        address: Address,
        make: Callable[[], Serving],
        metrics: CollectorRegistry,
        hold: Callable[[str], Hold],
        tell: Callable[[str], None],
    ) -> None:
        address.check()
        self._address = address
        self._make = make
        self._metrics = metrics
        self._hold = hold
        self._tell = tell
        self._taken: _Taken | None = None
        self.url = ""

    def take(self) -> bool:
        """Take the ports and read the certificate; `SettingsError` where that cannot be. False
        where another process of this installation serves there."""
        if self._taken is None:
            context = self._address.context()
            try:
                self._taken = self._take(context)
            except SettingsError:
                ports = [port for _, _, port in self._address.ports()]
                if not any(self._hold(port_hold(port)).elsewhere() for port in ports):
                    raise
        return self._taken is not None

    def run(self, stop: threading.Event) -> None:
        """See `Role`."""
        while not self.take():
            if stop.wait(_STAND_BY):
                return
        found = self._taken
        assert found is not None
        try:
            asyncio.run(self._serve(stop, found.listening, found.context))
        finally:
            self.close()

    def close(self) -> None:
        """See `Role`."""
        if self._taken is not None:
            self._taken.held.close()
            self._taken = None

    def _take(self, context: ssl.SSLContext | None) -> _Taken:
        address = self._address
        with ExitStack() as stack:
            found = stack.enter_context(listening("http_port", address.host, address.port))
            stack.callback(self._serve_metrics())
            for _, _, port in address.ports():
                hold = self._hold(port_hold(port))
                hold.taken()
                stack.callback(hold.release)
            return _Taken(found, context, stack.pop_all())

    async def _serve(
        self, stop: threading.Event, listener: socket.socket, context: ssl.SSLContext | None
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
        self.url = f"{scheme}://{self._address.host}:{listener.getsockname()[1]}"
        self._tell(self.url)
        ended = threading.Event()
        beating = threading.Thread(target=serving.pulse.run, args=(ended,), name="pulse")
        watching = asyncio.ensure_future(serving.lines.watch())
        end = _stop_with(stop, server, serving.lines)
        watching.add_done_callback(lambda watched: end())
        beating.start()
        try:
            await server.serve([listener])
        finally:
            ended.set()
            by_itself = watching.done()
            watching.cancel()
            await asyncio.to_thread(beating.join)
        if by_itself:
            watching.result()  # its error ends this run

    def _serve_metrics(self) -> Callable[[], None]:
        """Serve the metrics on a listener of their own; what ends that."""
        port = self._address.metrics_port
        if not port:
            return lambda: None
        try:
            server, thread = start_http_server(port, LOOPBACK, self._metrics)
        except OSError as error:
            raise taken("metrics_port", LOOPBACK, port, error) from None

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end


def _stop_with(stop: threading.Event, server: Server, lines: Lines) -> Callable[[], None]:
    """Let the server end when `stop` is set; what ends it at once, in its loop."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        lines.stop()
        server.should_exit = True

    def wait() -> None:
        stop.wait()
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(end)

    threading.Thread(target=wait, name="serve-stop", daemon=True).start()
    return end


def port_hold(port: int) -> str:
    """The name of the hold that says which installation listens on a port."""
    return f"port.{port}"
