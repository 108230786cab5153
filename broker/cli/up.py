"""`shuqiao up`, `serve` and `controller`: roles that go on until they are stopped."""

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo

from broker.bootstrap import Broker, opened
from broker.cli.clock import city_clock
from broker.cli.output import OUTPUT
from broker.roles import Role, run_roles, stop_on_signals
from broker.web.role import ServeRole

_FORGOTTEN = 180.0
"""Seconds without a trouble after which it is a new one; a role's longest pause is shorter."""


def up() -> None:
    """Run connectors, relay, controller and HTTP in this process, until Ctrl-C or SIGTERM."""
    with opened() as broker:
        http = _http(broker)
        roles: list[Role] = [
            broker.connect_role(told("connect", broker.settings.zone)),
            broker.relay_role(),
            broker.controller_role(),
            http,
        ]
        run(broker, roles)


def serve() -> None:
    """Serve consumers over HTTP: their shares, records, snapshots, events and schemas."""
    with opened() as broker:
        run(broker, [_http(broker)])


def controller() -> None:
    """Run the controller: expiry, closing, the yearly pass; a second one stands by."""
    with opened() as broker:
        run(broker, [broker.controller_role()])


def _http(broker: Broker) -> ServeRole:
    """HTTP with its ports, or standing by."""
    http = broker.serve_role(_reached)
    if not http.take():
        zh, en = "HTTP 待命：另一个进程正在服务", "HTTP stands by: another process serves"
        OUTPUT.say(zh, en, sign="○")
    return http


def _reached(url: str) -> None:
    OUTPUT.say(f"HTTP：{url}/v1/shares", f"HTTP: {url}/v1/shares", sign="✓")


def run(broker: Broker, roles: Sequence[Role]) -> None:
    """Run roles until a signal asks to stop."""
    stop = stop_on_signals()
    names = ", ".join(role.name for role in roles)
    OUTPUT.say(f"已启动：{names}（Ctrl-C 结束）", f"running: {names} (Ctrl-C ends it)", sign="✓")
    say = {role.name: told(role.name, broker.settings.zone) for role in roles}
    tell = lambda role, words: say[role](words)  # noqa: E731
    with broker.presence.among():
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
