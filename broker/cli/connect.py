"""`shuqiao connect`: run the connectors, see where they stand, look before you run."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.bootstrap import Broker, opened
from broker.cli import standing
from broker.cli.output import OUTPUT
from broker.cli.shapes import shape
from broker.cli.up import run as follow_role
from broker.cli.up import told
from broker.errors import MappingError, SourceError
from broker.roles import Role, collect_seldom
from connectors.convert import Converter
from connectors.mapping import Mapping
from connectors.runner import Report
from connectors.source import Fault, Row

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(
    dataset: str = typer.Argument("", help="one dataset; all when left out"),
    follow: bool = typer.Option(False, "--follow", help="go on until stopped"),
    again: bool = typer.Option(
        False, "--again", help="read from the beginning; what is known costs nothing downstream"
    ),
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow-deletes", help="a source that may delete more than 5 %, this once"),
    ] = None,
) -> None:
    """Collect everything that is new from the sources."""
    if follow:
        follow_role(lambda broker: [_role(broker, dataset)])
        return
    with opened() as broker:
        collect_seldom()
        done = collect(broker, dataset, again, allow or ())
    failed = [report for reports in done.values() for report in reports if report.error]
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                name: [
                    {
                        "source": one.source,
                        "rows": one.counts.rows,
                        "appended": one.counts.appended,
                        "deleted": one.counts.deleted,
                        "unchanged": one.counts.unchanged,
                        "outdated": one.counts.outdated,
                        "duplicates": one.counts.duplicates,
                        "quarantined": one.counts.quarantined,
                        "waiting": one.counts.waiting,
                        "paused": one.paused,
                        "error": str(one.error or ""),
                    }
                    for one in reports
                ]
                for name, reports in done.items()
            }
        )
    else:
        show_reports(done)
        if any(one.counts.quarantined or one.counts.waiting for r in done.values() for one in r):
            OUTPUT.say(
                "隔离的行：`shuqiao quarantine list` 看缘由；改好映射后 `shuqiao quarantine "
                "replay`，改好来源后 `shuqiao connect run --again`",
                "rows in quarantine: `shuqiao quarantine list` says why; once the mapping is "
                "mended, `shuqiao quarantine replay`; once the source is, `shuqiao connect run "
                "--again`",
            )
    for name, reports in done.items():
        for report in reports:
            if report.paused:
                OUTPUT.say(
                    f"{name} 的来源 {report.source} 已暂停",
                    f"the source {report.source} of {name} is paused",
                    sign="○",
                )
    for report in failed:
        OUTPUT.say(str(report.error), str(report.error), sign="✗")
    if failed:
        raise typer.Exit(1)


app.command()(standing.status)
app.command()(standing.pause)
app.command()(standing.resume)
app.command()(standing.forget)


@app.command()
def preview(
    source: str = typer.Argument(..., help="a source's name, or a dataset"),
    rows: int = typer.Option(5, min=1, max=50, help="how many rows"),
) -> None:
    """Read some rows and show the shape of each cell beside what it becomes; keeps nothing."""
    with opened() as broker:
        mappings = [m for m in broker.mappings() if source in (m.name, m.dataset)]
        if not mappings:
            known = ", ".join(m.name for m in broker.mappings())
            raise MappingError(f"there is no source {source!r}", mend=f"one of: {known}")
        found, converter = broker.source(mappings[0]), broker.converter(mappings[0])
        found.check()
        pages = iter(found.batches(None, rows))
        page = next(pages, None)
        items = {column.name: column.item for column in mappings[0].columns}
        shown = (page.rows if page else [])[:rows]
        if OUTPUT.as_json:
            OUTPUT.document([_document(row, converter, items) for row in shown])
            return
        for row in shown:
            _show(row, converter, items)


def _role(broker: Broker, dataset: str) -> Role:
    """The connectors as a role, which says what goes wrong."""
    return broker.connect_role(told("connect", broker.settings.zone), dataset)


def collect(
    broker: Broker, dataset: str = "", again: bool = False, allow: Sequence[str] = ()
) -> dict[str, list[Report]]:
    """Run the sources of one dataset, or of all; the reports by dataset."""
    mappings = broker.mappings()
    wanted = [dataset] if dataset else sorted({mapping.dataset for mapping in mappings})
    done: dict[str, list[Report]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    quiet = not OUTPUT.console.is_terminal
    with Progress(*columns, console=OUTPUT.console, transient=True, disable=quiet) as bars:
        for name in wanted:
            runner = broker.runner(name, mappings)
            totals = [_total(broker, one) for one in mappings if one.dataset == name]
            known = [total for total in totals if total is not None]
            bar = bars.add_task(name, total=sum(known) if len(known) == len(totals) else None)
            seen: dict[str, int] = {}

            def advance(
                source: str, counts: Any, bar: Any = bar, seen: dict[str, int] = seen
            ) -> None:
                seen[source] = counts.rows
                bars.update(bar, completed=sum(seen.values()))

            done[name] = runner.run(broker.settings.batch, advance, again, allow=allow)
    return done


def _total(broker: Broker, mapping: Mapping) -> int | None:
    """About how many rows a source has; what is wrong with it, its run will say."""
    try:
        return broker.source(mapping).total()
    except SourceError:
        return None


def show_reports(done: dict[str, list[Report]]) -> None:
    """A table of what was collected, one line a dataset."""
    columns = [
        ("归集", "collected", "appended"), ("删除", "deleted", "deleted"),
        ("未变", "unchanged", "unchanged"), ("过时", "outdated", "outdated"),
        ("重复", "duplicates", "duplicates"), ("隔离", "quarantined", "quarantined"),
        ("仍在隔离", "waiting", "waiting"),
    ]  # fmt: skip
    everything = [report.counts for reports in done.values() for report in reports]
    for rare in ("outdated", "waiting"):
        if not any(getattr(one, rare) for one in everything):
            columns = [column for column in columns if column[2] != rare]
    OUTPUT.table(
        [
            ("数据集", "dataset"), ("来源数", "sources"), ("读取行", "rows"),
            *((zh, en) for zh, en, _ in columns),
        ],
        [
            (
                name,
                len(reports),
                sum(one.counts.rows for one in reports),
                *(sum(getattr(one.counts, field) for one in reports) for _, _, field in columns),
            )
            for name, reports in done.items()
        ],
        spare=("unchanged", "sources"),
    )  # fmt: skip


def _document(row: Row, converter: Converter, items: dict[str, str]) -> dict[str, Any]:
    outcome = row.fault or converter.record(row.cells)
    fault = asdict(outcome) if isinstance(outcome, Fault) else None
    record = outcome if isinstance(outcome, dict) else {}
    cells = [
        {
            "column": name,
            "shape": shape(value),
            "item": items.get(name, ""),
            "becomes": shape(record.get(items.get(name, ""))),
        }
        for name, value in row.cells.items()
    ]
    return {"where": row.where, "fault": fault, "cells": cells}


def _show(row: Row, converter: Converter, items: dict[str, str]) -> None:
    outcome = row.fault or converter.record(row.cells)
    record = outcome if isinstance(outcome, dict) else {}
    OUTPUT.say("", "", strong=row.where)
    if isinstance(outcome, Fault):
        place = f"{outcome.column} " if outcome.column else ""
        OUTPUT.say(
            f"隔离 {place}{outcome.reason}：{outcome.mend}",
            f"quarantine {place}{outcome.reason}: {outcome.mend}",
            sign="○",
        )
    OUTPUT.table(
        [("列", "column"), ("形状", "shape"), ("数据项", "item"), ("成为", "becomes")],
        [
            (
                name,
                shape(value),
                items.get(name, "–"),
                shape(record.get(items.get(name, ""))),
            )
            for name, value in row.cells.items()
        ],
    )
