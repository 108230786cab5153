"""The demo's screen: figures by dataset and share, the newest happenings, the numbers.

Law: it fits 80 columns and 24 lines; what an effect has to say is printed above it, once.
Without a terminal it is lines: one a happening, and the sums now and then.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from broker.bootstrap import Broker
from broker.cli.clock import city_clock
from broker.cli.demo.board import Figures, Line
from broker.cli.demo.menu import QUIT, Menu
from broker.cli.output import OUTPUT
from broker.sharing.grants import SUSPENDED, TERMINATED
from broker.sharing.share import LIVE, OPENING
from connectors.samples.day import CHANGED, DELETED, MOVED, NEW, Happening

_HAPPENINGS = 3
_SUMS = 5.0
"""Seconds between two lines of sums where there is no terminal."""

_STATES = {
    OPENING: ("追赶中", "opening", "yellow"),
    TERMINATED: ("已撤销", "revoked", "red"),
    SUSPENDED: ("已暂停", "suspended", "red"),
    "REFUSED": ("不提供", "refused", "red"),
}
_KINDS = {
    NEW: ("新增", "new"),
    CHANGED: ("变更", "changed"),
    DELETED: ("删除", "deleted"),
    MOVED: ("迁移", "moved"),
}


@dataclass
class Screen:
    """Shows what it is given. `processes` gives process ids by name, `working` the relays that
    have the work, `county` a county's name."""

    broker: Broker
    menu: Menu
    url: str
    processes: Callable[[], Mapping[str, int]]
    working: Callable[[], Sequence[str]]
    county: Callable[[str], str]
    _live: Live | None = None
    _newest: deque[str] = field(default_factory=lambda: deque(maxlen=_HAPPENINGS))
    _started: float = field(default_factory=time.monotonic)
    _summed: float = field(default_factory=time.monotonic)
    changes: int = 0

    def __enter__(self) -> "Screen":
        if OUTPUT.console.is_terminal:
            self._live = Live(
                console=OUTPUT.console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def happened(self, one: Happening) -> None:
        """A change of the day."""
        self.changes += 1
        zh, en = _KINDS[one.kind]
        title = self.broker.catalog.dataset(one.dataset).title
        place = self.county(one.county)
        if one.left:
            place = f"{self.county(one.left)} → {place}"
        self.note(f"{zh} {title}：{place}", f"{en} {one.dataset}: {place}")

    def note(self, zh: str, en: str) -> None:
        """Something that is worth a line, not a place of its own."""
        line = f"{city_clock(self.broker.settings.zone)} {OUTPUT.text(zh, en)}"
        self._newest.append(line)
        if self._live is None:
            OUTPUT.say(line, line)

    def show(self, figures: Figures) -> None:
        """Draw it."""
        if self._live is not None:
            self._live.update(self._drawn(figures), refresh=True)
        elif time.monotonic() - self._summed >= _SUMS:
            self._summed = time.monotonic()
            OUTPUT.say(*self.sums(figures))

    def sums(self, figures: Figures) -> tuple[str, str]:
        """The counts in a line, Chinese and English."""
        live = [line for line in figures.lines if line.state == LIVE]
        collected, records = sum(figures.collected.values()), sum(one.records for one in live)
        return (
            f"变化 {self.changes} · 归集 {collected} 条 · 可读的共享 {len(live)} 个、{records} 条"
            f" · 落后 {figures.behind}",
            f"{self.changes} changes · {collected} records collected · {len(live)} shares open "
            f"with {records} records · {figures.behind} behind",
        )

    def _drawn(self, figures: Figures) -> Group:
        seconds = int(time.monotonic() - self._started)
        lasted = f"{seconds // 60:02d}:{seconds % 60:02d}"
        title = OUTPUT.text(
            f"各部门的一天 · {lasted} · 变化 {self.changes} · {self.url}",
            f"a day in the departments · {lasted} · {self.changes} changes · {self.url}",
        )
        empty = [Text()] * (_HAPPENINGS - len(self._newest))
        lines = [
            Text(f" {line}", "dim", no_wrap=True, overflow="ellipsis") for line in self._newest
        ]
        parts: list[RenderableType] = [
            self._table(figures),
            Text(),
            *lines,
            *empty,
            self._roles(),
            self._numbers(),
        ]
        return Group(Rule(f"[bold]{title}", align="left"), *parts)

    def _table(self, figures: Figures) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold dim", pad_edge=False)
        for zh, en, justify in (
            ("数据集", "dataset", "left"), ("归集", "collected", "right"),
            ("使用方", "consumer", "left"), ("共享", "in share", "right"),
            ("落后", "lag", "right"), ("最近变化", "changed", "right"),
        ):  # fmt: skip
            words = OUTPUT.text(zh, en)
            table.add_column(words, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for name, dataset in self.broker.catalog.datasets.items():
            title = OUTPUT.text(dataset.title, name)
            mine = [line for line in figures.lines if line.dataset == name]
            collected = str(figures.collected[name])
            if not mine:
                lag = str(figures.lag[name])
                table.add_row(title, collected, Text("–", "dim"), "", lag, "")
            for number, line in enumerate(mine):
                first = (title, collected) if number == 0 else ("", "")
                table.add_row(*first, line.consumer, *_cells(line, self.broker.settings.zone))
        return table

    def _roles(self) -> Text:
        working = self.working()
        found = Text(no_wrap=True, overflow="ellipsis")
        for name, number in self.processes().items():
            found.append("●" if number else "○", "green" if number else "red")
            found.append(name, "bold reverse" if name in working else "")
            found.append(f" {number or '–'} ", "dim")
        return found

    def _numbers(self) -> Text:
        found = Text(no_wrap=True, overflow="ellipsis")
        for number, one in self.menu.offered.items():
            style = "reverse" if self.menu.doing == number else "bold cyan"
            found.append(f"{number}", style).append(f" {OUTPUT.text(one.zh, one.en)}  ")
        return found.append(QUIT, "bold cyan").append(OUTPUT.text(" 结束", " end"))


def _cells(line: Line, zone: tzinfo) -> tuple[str | Text, ...]:
    """Records, lag and last change; in their place its state where it cannot be read."""
    if line.state in _STATES:
        zh, en, style = _STATES[line.state]
        words = Text(OUTPUT.text(zh, en), style)
        return (words, str(line.lag), "") if line.state == OPENING else (words, "", "")
    moment = datetime.fromtimestamp(line.changed / 1_000, UTC)
    changed = city_clock(zone, moment) if line.changed else ""
    return str(line.records), Text(str(line.lag), "yellow" if line.lag else "green"), changed
