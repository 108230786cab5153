"""`shuqiao connect status | pause | resume | forget`: where sources stand, and holding them."""

from dataclasses import asdict

import typer

from broker.bootstrap import opened
from broker.cli.clock import city_time
from broker.cli.output import OUTPUT
from broker.errors import SourceError
from connectors.held import PAUSED, Held
from connectors.status import FAILED, Statuses

_STATES = {
    "running": ("正在读取", "running"),
    "idle": ("空闲", "idle"),
    "stalled": ("停滞", "stalled"),
    "failed": ("失败", "failed"),
    "paused": ("已暂停", "paused"),
    "new": ("未读过", "new"),
}
SOURCE = typer.Argument(..., help="a source's name; `shuqiao connect status` lists them")


def status() -> None:
    """Where each source stands: state, last row, last success, rows behind. Exit status 1 where
    a mapping file is wrong: what it maps is not read."""
    with opened() as broker:
        found, zone = broker.standings(), broker.settings.zone
        refused = broker.refused()
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                asdict(one.status)
                | {
                    "dataset": dataset,
                    "source": one.source,
                    "state": one.state,
                    "error": one.reason,
                    "behind": one.behind,
                }
                for dataset, one in found
            ]
        )
        if refused:
            raise typer.Exit(1)
        return
    OUTPUT.table(
        [
            ("来源", "source"), ("状态", "state"), ("待读行", "behind"),
            ("最近一行", "last row"), ("最近成功", "last success"), ("读取行", "rows"),
            ("累计隔离", "ever set aside"), ("旧版本在用", "stale"), ("数据集", "dataset"),
        ],
        [
            (
                one.source,
                OUTPUT.text(*_STATES[one.state]),
                "?" if one.behind is None else one.behind,
                city_time(one.status.last_row, zone),
                city_time(one.status.last_success, zone),
                one.status.rows,
                one.status.quarantined,
                one.status.stale or "",
                dataset,
            )
            for dataset, one in found
        ],
        spare=("stale", "last success", "dataset"),
    )  # fmt: skip
    for dataset, one in found:
        if one.reason:
            words = f" {dataset} · {one.reason}"
            OUTPUT.say(words, words, strong=one.source, sign="✗" if one.state == FAILED else "○")
    for error in refused:
        OUTPUT.say(str(error), str(error), sign="✗")
    if refused:
        raise typer.Exit(1)


def pause(dataset: str, source: str = SOURCE) -> None:
    """Do not read a source until it is resumed; what was collected stays."""
    with opened() as broker:
        _known(dataset, source, broker.source_names(dataset))
        Held(dataset, broker.log).hold(source, PAUSED)
    OUTPUT.say(f"已暂停 {source}", f"{source} is paused", sign="✓")


def resume(dataset: str, source: str = SOURCE) -> None:
    """Read a source again that was paused, or stopped because too much was gone."""
    with opened() as broker:
        held = Held(dataset, broker.log)
        if not held.why(source):
            raise SourceError(f"nothing holds the source {source}", where=dataset)
        held.lift(source)
    OUTPUT.say(f"已恢复 {source}", f"{source} is read again", sign="✓")


def forget(dataset: str, source: str = SOURCE) -> None:
    """Say no more that a source has disappeared. What was collected from it stays until another
    source has a later version of it."""
    with opened() as broker:
        there = {one.name for one in broker.mappings() if one.dataset == dataset}
        if source in there:
            raise SourceError(
                f"a mapping gives the source {source}", where=dataset, mend="take it out first"
            )
        statuses = Statuses(dataset, broker.log, broker.sealer)
        _known(dataset, source, set(statuses.names()))
        statuses.remove(source)
        Held(dataset, broker.log).lift(source)
    OUTPUT.say(f"不再过问 {source}", f"{source} is forgotten", sign="✓")


def _known(dataset: str, source: str, names: set[str]) -> None:
    if source not in names:
        raise SourceError(
            f"{dataset} has no source {source!r}",
            mend=f"one of: {', '.join(sorted(names))}" if names else "`shuqiao connect status`",
        )
