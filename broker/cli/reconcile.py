"""`shuqiao reconcile`: recompute shares from their collected topics and compare."""

from dataclasses import asdict

import typer

from broker.bootstrap import Broker, opened
from broker.cli.output import OUTPUT
from broker.relay.reconcile import Comparison

_SHOWN = 20


def reconcile(
    share: str = typer.Argument("", help="a share's id, or its topic; all when left out"),
) -> None:
    """Compare shares key by key with their collected topics; exit status 1 on any difference."""
    with opened() as broker:
        found = compare_all(broker, share.rpartition(".")[2])
    if OUTPUT.as_json:
        OUTPUT.document([{**asdict(one), "exact": one.exact} for one in found])
    else:
        show(found)
    if not all(one.exact for one in found):
        raise typer.Exit(1)


def compare_all(broker: Broker, share: str = "") -> list[Comparison]:
    """Compare one share, or every share that is open today."""
    shares = [broker.sharing.share(share)] if share else broker.sharing.shares()
    topics = broker.log.topics()
    return [
        broker.reconciler.compare(broker.catalog.dataset(one.dataset), one)
        for one in shares
        if one.topic in topics
    ]


def show(found: list[Comparison]) -> None:
    """A line a share, then the differences by position."""
    OUTPUT.table(
        [
            ("共享", "share"), ("数据集", "dataset"), ("已比对", "compared"),
            ("差异", "differences"), ("追赶中的分区", "opening"), ("变动中", "moving"),
        ],
        [
            (one.share, one.dataset, one.compared, len(one.differences), one.opening, one.moving)
            for one in found
        ],
    )  # fmt: skip
    for one in found:
        for difference in one.differences[:_SHOWN]:
            place = f"{difference.partition}@{difference.offset}"
            OUTPUT.say(
                f"{one.share} {difference.kind} {place}",
                f"{one.share} {difference.kind} {place}",
                sign="✗",
            )
    if all(one.exact for one in found):
        OUTPUT.say("每个共享都与重算一致", "every share equals its recomputation", sign="✓")
