"""`shuqiao reconcile`: recompute shares from their collected topics and compare."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import typer

from broker.bootstrap import Broker, opened
from broker.cli.output import OUTPUT
from broker.errors import ShuQiaoError
from broker.relay.reconcile import Comparison, Verdict
from broker.sharing.share import CLOSED, CLOSING

_SHOWN = 20
_TOGETHER = 8
"""Shares of a dataset that are compared in one reading: their keys are kept at once."""

_WORDS = {
    Verdict.DIFFERS: (
        "与重算不一致：请报告；撤销后重新授权会重写这个共享",
        "differs from its recomputation: report it; revoking and granting again writes it anew",
    ),
    Verdict.NO_TOPIC: (
        "没有主题，却可以读取：请从备份恢复日志",
        "has no topic, though it may be read: restore the log from a backup",
    ),
    Verdict.NOT_SETTLED: (
        "一直在变动，没有比对完：稍后再试，或先 `shuqiao connect pause` 有关来源",
        "kept changing and is not settled: try again later, or `shuqiao connect pause` its "
        "sources first",
    ),
    Verdict.NOT_COMPARED: (
        "可以读取，却有分区没有比对（分发的进度丢失）：请从备份恢复日志",
        "may be read, but partitions were not compared (the relay's place is lost): restore the "
        "log from a backup",
    ),
    Verdict.OPENING: (
        "还在追赶：`shuqiao relay` 或 `up` 会继续",
        "is still opening: `shuqiao relay` or `up` goes on",
    ),
    Verdict.CLOSED: ("已关闭，没有可比对的", "is closed: there is nothing to compare"),
}


def reconcile(
    share: str = typer.Argument("", help="a share's id, or its topic; all when left out"),
) -> None:
    """Compare shares key by key with their collected topics; exit status 1 unless all that can
    be read is equal."""
    name = share.rpartition(".")[2]
    with opened() as broker:
        found = list(compare_all(broker, name))
    if OUTPUT.as_json:
        OUTPUT.document(
            [{**asdict(one), "verdict": one.verdict, "exact": one.exact} for one in found]
        )
    else:
        show(found)
    if not all(one.exact for one in found) or (name and not _compared(found)):
        raise typer.Exit(1)


def compare_all(
    broker: Broker, share: str = "", over: Callable[[], bool] = lambda: False
) -> Iterator[Comparison]:
    """Compare one share, or every share that is open today, some at a time, until `over`.

    A share that closes meanwhile is said to have, and keeps no other back.
    """
    now = broker.sharing.share
    waiting = [now(share)] if share else list(broker.sharing.shares())
    while waiting and not over():
        dataset = broker.catalog.dataset(waiting[0].dataset)
        group = [one for one in waiting if one.dataset == dataset.id][:_TOGETHER]
        try:
            found = broker.reconciler.compare(dataset, group)
        except ShuQiaoError:
            closed = [one for one in map(now, (one.id for one in group)) if _is_over(one.state)]
            if not closed:
                raise
            found = [Comparison(one.id, one.dataset, one.state) for one in closed]
        for one in found:
            if not one.exact and _is_over(state := now(one.share).state):
                one.state = state
            yield one
        done = {one.share for one in found}
        waiting = [one for one in waiting if one.id not in done]


def show(found: list[Comparison]) -> None:
    """A line a share, then what is to be known of one, and its differences by position."""
    if found:
        OUTPUT.table(
            [
                ("共享", "share"), ("数据集", "dataset"), ("已比对", "compared"),
                ("差异", "differences"), ("追赶中的分区", "opening"), ("变动中", "moving"),
            ],
            [
                (one.share, one.dataset, one.compared, len(one.differences), one.opening,
                 one.moving)
                for one in found
            ],
        )  # fmt: skip
    for one in found:
        if one.verdict in _WORDS:
            zh, en = _WORDS[one.verdict]
            OUTPUT.say(f"{one.share} {zh}", f"{one.share} {en}", sign="○" if one.exact else "✗")
        for difference in one.differences[:_SHOWN]:
            place = f"{difference.kind} {difference.partition}@{difference.offset}"
            OUTPUT.say(f"{one.share} {place}", f"{one.share} {place}", sign="✗")
    if not all(one.exact for one in found):
        return
    if _compared(found):
        OUTPUT.say("每个共享都与重算一致", "every share equals its recomputation", sign="✓")
    else:
        OUTPUT.say("没有可比对的共享", "there is nothing to compare", sign="○")


def _compared(found: list[Comparison]) -> bool:
    """Whether anything was compared at all."""
    return any(one.compared or one.verdict is Verdict.EXACT for one in found)


def _is_over(state: str) -> bool:
    return state in (CLOSING, CLOSED)
