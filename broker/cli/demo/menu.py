"""The numbers of the demo's menu: what they are called, and one after the other, what they do.

Law: an effect that fails says so and takes nothing with it.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from broker.cli.demo.checking import check
from broker.cli.demo.ending import restore, revoke
from broker.cli.demo.killing import kill
from broker.cli.demo.moving import Mover
from broker.cli.demo.stage import Stage
from broker.cli.demo.tighten import tighten
from broker.cli.output import OUTPUT
from broker.errors import ShuQiaoError

QUIT = "q"
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Choice:
    """A number: its words, Chinese and English, and what it does."""

    zh: str
    en: str
    do: Callable[[Stage], None]


def choices(mover: Mover) -> Mapping[str, Choice]:
    """The menu, by number."""
    return {
        "1": Choice("撤销授权", "revoke", revoke),
        "2": Choice("收紧规则", "tighten", tighten),
        "3": Choice("居民搬家", "move", mover.move),
        "4": Choice("kill -9", "kill -9", kill),
        "5": Choice("逐键核对", "reconcile", check),
        "6": Choice("全部恢复", "restore", restore),
    }


class Menu:
    """Does what was chosen, in a thread of its own, in the order chosen."""

    def __init__(self, stage: Stage, offered: Mapping[str, Choice]) -> None:
        self._stage = stage
        self.offered = offered
        self._chosen: SimpleQueue[str] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="menu", daemon=True)
        self.doing = ""

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def choose(self, number: str) -> None:
        """Put a number behind those under way; what is no number says what there is."""
        if number in self.offered:
            self._chosen.put(number)
            return
        known = ", ".join((*self.offered, QUIT))
        OUTPUT.say(f"没有 {number!r}：可选 {known}", f"there is no {number!r}: {known}", sign="○")

    def end(self, seconds: float) -> None:
        """Wait for what is under way."""
        self._thread.join(seconds)

    def _work(self) -> None:
        while not self._stage.stop.is_set():
            try:
                number = self._chosen.get(timeout=_LOOK)
            except Empty:
                continue
            self.doing = number
            try:
                self._stage.ready()
                self.offered[number].do(self._stage)
            except ShuQiaoError as error:
                OUTPUT.say(f"[{number}] {error}", f"[{number}] {error}", sign="✗")
            except Exception as error:  # noqa: BLE001  its text may hold data
                name = type(error).__name__
                OUTPUT.say(
                    f"[{number}] 未预料的 {name}", f"[{number}] an unforeseen {name}", sign="✗"
                )
            self.doing = ""
