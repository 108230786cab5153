"""The demo goes on: a day in the departments, roles in processes of their own, a menu.

Law: it ends in order: what was started here is ended here, by its id, and the last thing
said is whether every share equals its recomputation.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from broker.bootstrap import Broker
from broker.cli.demo.board import Board, caught_up
from broker.cli.demo.checking import compare, tell
from broker.cli.demo.keyboard import Keyboard, keyboard
from broker.cli.demo.killing import working
from broker.cli.demo.menu import QUIT, Menu, choices
from broker.cli.demo.moving import Mover
from broker.cli.demo.processes import ROLES, Processes, free_port
from broker.cli.demo.screen import Screen
from broker.cli.demo.site import Site
from broker.cli.demo.stage import Stage
from broker.cli.output import OUTPUT
from broker.errors import ShuQiaoError
from connectors.samples.day import Day
from connectors.samples.population import ADULT, Population

_PACE = 2.0
"""Seconds between two changes: a person can follow."""

_DRAW = 0.5
_KEYS = 0.1
_STANDBY = "relay-2"
_LAST_CHANGES, _LAST_CHECK, _LAST_EFFECT = 5.0, 30.0, 3.0
"""Seconds that are given to each at the end."""


class Asked:
    """How often somebody asked to end: once in order, twice at once."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.hurry = threading.Event()

    def ask(self, number: int = 0, frame: FrameType | None = None) -> None:
        """As a signal's handler, or from the menu."""
        (self.hurry if self.stop.is_set() else self.stop).set()


def go_on(broker: Broker, population: Population, seed: int) -> None:
    """Until Ctrl-C, SIGTERM or `q`."""
    with _asked() as asked, keyboard() as keys:
        settings = broker.settings
        ports = {"SHUQIAO_HTTP_PORT": free_port(settings.http_port)}
        ports["SHUQIAO_METRICS_PORT"] = free_port(settings.metrics_port)
        notes: list[tuple[str, int, int]] = []
        processes = Processes(
            settings.state / "processes",
            {
                "SHUQIAO_POLL_SECONDS": "1",
                "SHUQIAO_LANG": OUTPUT.lang,
                **{name: str(port) for name, port in ports.items()},
            },
            lambda *note: notes.append(note),
        )
        site = Site(ports["SHUQIAO_HTTP_PORT"], broker.api_keys.add)
        day = Day(settings.sources_path, population, seed)
        stage = Stage(broker, day, processes, site, asked.stop)
        menu = Menu(stage, choices(Mover(population.person(ADULT))))
        board = Board(broker)
        try:
            _introduce(stage)
            processes.start(*(name for name in ROLES if name != _STANDBY))
            menu.start()
            screen = Screen(
                broker, menu, site.url, processes.ids, lambda: working(stage), stage.county
            )
            with screen:
                _play(stage, screen, board, keys, menu, notes, asked)
        finally:
            asked.stop.set()
            OUTPUT.say(
                "正在结束：等最后的变化到达，再逐键核对 …（再按一次 Ctrl-C 立即结束）",
                "ending: the last changes arrive, then all is compared … (Ctrl-C again: at once)",
            )
            menu.end(_LAST_EFFECT)
            _settle_down(broker, asked)
            processes.stop()
        started = time.monotonic()
        until = started + _LAST_CHECK
        checked = compare(broker, lambda: asked.hurry.is_set() or time.monotonic() > until)
        OUTPUT.say(*screen.sums(board.look()))
        tell(checked, time.monotonic() - started)


def _play(
    stage: Stage,
    screen: Screen,
    board: Board,
    keys: Keyboard,
    menu: Menu,
    notes: list[tuple[str, int, int]],
    asked: Asked,
) -> None:
    next_change = time.monotonic() + _PACE
    drawn = 0.0
    while not asked.stop.is_set():
        try:
            _supervise(stage, screen, notes)
            now = time.monotonic()
            if now >= next_change:
                next_change = max(next_change + _PACE, now)
                screen.happened(stage.day.next(stage.now()))
            if now - drawn >= _DRAW:
                drawn = now
                screen.show(board.look())
        except ShuQiaoError as error:
            screen.note(str(error), str(error))
            asked.stop.wait(_PACE)
        typed = keys.read(_KEYS)
        if typed == QUIT:
            asked.ask()
        elif typed:
            menu.choose(typed)


def _supervise(stage: Stage, screen: Screen, notes: list[tuple[str, int, int]]) -> None:
    """Keep the processes going; the second relay comes when the first has the work."""
    stage.processes.look()
    if _STANDBY not in stage.processes.ids() and working(stage):
        stage.processes.start(_STANDBY)
    while notes:
        name, ended, number = notes.pop(0)
        how = f"kill -{-ended}" if ended < 0 else f"{ended}"
        screen.note(
            f"{name} 结束了（{how}），已重新启动：{number}",
            f"{name} ended ({how}) and was started again: {number}",
        )


def _introduce(stage: Stage) -> None:
    site = stage.site
    OUTPUT.head(
        "七 各部门的一天：变化不断，共享跟上，请你来打断",
        "7  A day in the departments: changes go on, the shares follow; now interfere",
    )
    OUTPUT.say(
        "  每 2 秒一个变化（新增、变更、迁到别县、删除）。五个角色各在自己的进程里；\n"
        "  relay-2 待命。按下面的数字看效果，q 或 Ctrl-C 结束。像使用方那样读：",
        "  A change every 2 s (new, changed, moved to another county, deleted). Five roles run in\n"
        "  processes of their own; relay-2 stands by. Type a number to see its effect, q or\n"
        "  Ctrl-C ends it. Read as a consumer does:",
    )
    OUTPUT.command(site.curl("grid_dongchangfu", "/v1/datasets/ga.resident_base/records?limit=2"))


def _settle_down(broker: Broker, asked: Asked) -> None:
    """Let what has changed last arrive."""
    until = time.monotonic() + _LAST_CHANGES
    time.sleep(0 if asked.hurry.is_set() else 1.5)  # a connector reads once a second
    while not (asked.hurry.is_set() or time.monotonic() > until or caught_up(broker)):
        time.sleep(0.1)


@contextmanager
def _asked() -> Iterator[Asked]:
    """SIGINT and SIGTERM ask; as before afterwards."""
    asked = Asked()
    before = {one: signal.signal(one, asked.ask) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
