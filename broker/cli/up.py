"""`shuqiao up`, `serve` and `controller`: roles that go on until they are stopped."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import tzinfo

from broker.bootstrap import Broker, opened
from broker.cli.clock import city_clock
from broker.cli.output import OUTPUT
from broker.errors import LogError, StoreError
from broker.roles import Role, run_roles, stop_on_signals
from broker.web.role import ServeRole

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries to begin, growing."""

_FORGOTTEN = 180.0
"""Seconds without a trouble after which it is a new one; a role's longest pause is shorter."""


Make = Callable[[Broker], Sequence[Role]]
"""Makes the roles of a process."""


def up() -> None:
    """Run connectors, relay, controller and HTTP in this process, until Ctrl-C or SIGTERM."""
    run(
        lambda broker: [
            broker.connect_role(told("connect", broker.settings.zone)),
            broker.relay_role(),
            *broker.controlling(),
            _http(broker),
        ]
    )


def serve() -> None:
    """Serve consumers over HTTP: their shares, records, snapshots, events and schemas."""
    run(lambda broker: [_http(broker)])


def controller() -> None:
    """Run the controller: expiry, closing, the yearly pass, schemas published elsewhere; a second
    one stands by."""
    run(lambda broker: broker.controlling())


def _http(broker: Broker) -> ServeRole:
    """HTTP with its ports, or standing by."""
    http = broker.serve_role(_reached)
    if not http.take():
        zh, en = "HTTP 待命：另一个进程正在服务", "HTTP stands by: another process serves"
        OUTPUT.say(zh, en, sign="○")
    return http


def _reached(url: str) -> None:
    OUTPUT.say(f"HTTP：{url}/v1/shares", f"HTTP: {url}/v1/shares", sign="✓")


def run(make: Make) -> None:
    """Make roles and run them until a signal asks to stop. A cluster or a database server that
    is away at the start is waited for."""
    stop, pause = stop_on_signals(), _FIRST_PAUSE
    while not stop.is_set():
        with opened() as broker:
            try:
                roles = make(broker)
            except (LogError, StoreError) as error:
                if not (broker.settings.kafka_servers or broker.settings.store):
                    raise
                told("start", broker.settings.zone)(f"{error}; {pause:.0f} s")
            else:
                _run(broker, roles, stop)
                return
        stop.wait(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _run(broker: Broker, roles: Sequence[Role], stop: threading.Event) -> None:
    names = ", ".join(role.name for role in roles)
    say = {role.name: told(role.name, broker.settings.zone) for role in roles}
    tell = lambda role, words: say[role](words)  # noqa: E731
    with broker.presence.among():
        zh, en = f"已启动：{names}（Ctrl-C 结束）", f"running: {names} (Ctrl-C ends it)"
        OUTPUT.say(zh, en, sign="✓")
        run_roles(roles, stop, broker.telemetry.emit, tell, broker.confirm)
    OUTPUT.say("已停止", "stopped", sign="✓")


def told(role: str, zone: tzinfo) -> Callable[[str], None]:
    """Say what goes wrong in a role: once for as long as it goes on, again when it comes back."""
    heard: dict[str, float] = {}

    def say(words: str) -> None:
        now = time.monotonic()
        for one in [one for one, at in heard.items() if now - at > _FORGOTTEN]:
            del heard[one]
        goes_on = words in heard
        heard[words] = now
        if not goes_on:
            line = f"{city_clock(zone)} {role}: {words}"
            OUTPUT.say(line, line, sign="✗")

    return say
