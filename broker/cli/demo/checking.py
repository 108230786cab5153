"""Number 5: every share is recomputed from its collected topic and compared, key by key.

Law: what was not compared is said, never counted as equal.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.bootstrap import Broker
from broker.cli.demo.stage import Stage, say
from broker.cli.output import OUTPUT
from broker.cli.reconcile import compare_all
from broker.relay.reconcile import Comparison, Verdict

_STATES = {
    Verdict.EXACT: ("一致", "equal"),
    Verdict.DIFFERS: ("不一致", "differs"),
    Verdict.NO_TOPIC: ("没有主题", "has no topic"),
    Verdict.NOT_SETTLED: ("仍在变动", "still moving"),
    Verdict.NOT_COMPARED: ("没有比对完", "not compared"),
    Verdict.OPENING: ("追赶中", "opening"),
    Verdict.CLOSED: ("其间已关闭", "closed meanwhile"),
}


@dataclass(slots=True)
class Checked:
    """What came of it; `left` are the shares that there was no time for."""

    found: list[Comparison] = field(default_factory=list)
    left: int = 0

    @property
    def exact(self) -> bool:
        """Whether everything was compared and equal."""
        return not self.left and all(one.exact for one in self.found)

    @property
    def wrong(self) -> list[Comparison]:
        """The shares that are not equal, as far as they could be compared."""
        inexact = [one for one in self.found if not one.exact]
        return [one for one in inexact if one.verdict is not Verdict.NOT_SETTLED]

    @property
    def compared(self) -> int:
        """How many records."""
        return sum(one.compared for one in self.found)

    @property
    def differences(self) -> int:
        """How many differences."""
        return sum(len(one.differences) for one in self.found)


def compare(
    broker: Broker,
    over: Callable[[], bool],
    each: Callable[[Comparison], None] = lambda found: None,
) -> Checked:
    """Compare every open share, until `over` says that the time is up; `each` hears what came
    of one as soon as it is known."""
    waiting = {share.id for share in broker.sharing.shares()}
    checked = Checked()
    for found in compare_all(broker, over=over):
        waiting.discard(found.share)
        if found.verdict is not Verdict.CLOSED:
            checked.found.append(found)
        each(found)
    checked.left = len(waiting)
    return checked


def tell(checked: Checked, seconds: float, number: str = "") -> None:
    """The sum in a line."""
    if checked.exact:
        say(
            f"{number}核对：{len(checked.found)} 个共享、{checked.compared} 条记录，与重算逐键一致"
            f"（{seconds:.1f} 秒）",
            f"{number}reconcile: {len(checked.found)} shares, {checked.compared} records, equal to "
            f"their recomputation key by key ({seconds:.1f} s)",
            sign="✓",
        )
        return
    moving = sum(one.moving for one in checked.found)
    say(
        f"{number}核对：差异 {checked.differences}，有问题的共享 {len(checked.wrong)}，"
        f"变动中 {moving}，没来得及比对的共享 {checked.left}（{seconds:.1f} 秒）",
        f"{number}reconcile: {checked.differences} differences, {len(checked.wrong)} shares wrong, "
        f"{moving} records moving, {checked.left} shares not compared in time ({seconds:.1f} s)",
        sign="✗" if checked.wrong else "○",
    )


def check(stage: Stage) -> None:
    """Compare everything now, while the day goes on."""
    OUTPUT.command("./run reconcile")
    started = time.monotonic()
    readers = {one.share.id: ", ".join(one.readers) for one in stage.broker.sharing.audiences()}

    def each(one: Comparison) -> None:
        who = readers.get(one.share, one.share)
        state = OUTPUT.text(*_STATES[one.verdict])
        say(
            f"  {who} · {one.dataset} · {one.compared} 条 · {state}",
            f"  {who} · {one.dataset} · {one.compared} records · {state}",
        )

    checked = compare(stage.broker, stage.stop.is_set, each)
    tell(checked, time.monotonic() - started, "[5] ")
    say(
        "  为什么要紧：“恰好一次”从不只凭相信；任何时候都可以重算并比对。",
        "  Why it matters: exactly-once is never trusted alone; it can be recomputed at any time.",
    )
