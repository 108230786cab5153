"""`shuqiao connect`: run the connectors, see where they stand, look before you run."""

import json
from typing import Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.bootstrap import Broker, opened
from broker.cli.output import OUTPUT
from broker.errors import MappingError
from broker.log.topics import sources_table
from connectors.convert import Converter
from connectors.runner import Report
from connectors.source import Fault, Row

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(dataset: str = typer.Argument("", help="one dataset; all when left out")) -> None:
    """Collect everything that is new from the sources."""
    with opened() as broker:
        done = collect(broker, dataset)
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
                        "duplicates": one.counts.duplicates,
                        "quarantined": one.counts.quarantined,
                        "error": str(one.error or ""),
                    }
                    for one in reports
                ]
                for name, reports in done.items()
            }
        )
    else:
        show_reports(done)
    for report in failed:
        text = f"[red]✗[/red] {escape(str(report.error))}"
        OUTPUT.say(text, text)
    if failed:
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Where each source stands after its last run."""
    rows: list[tuple[str, str, dict[str, Any]]] = []
    with opened() as broker:
        for name in broker.catalog.datasets:
            for key, value in broker.log.scan(sources_table(name), 0, b"", 1_000):
                rows.append((name, key.decode(), json.loads(value)))
    if OUTPUT.as_json:
        OUTPUT.document([{"dataset": d, "source": s, **state} for d, s, state in rows])
        return
    OUTPUT.table(
        [
            ("数据集", "dataset"), ("来源", "source"), ("状态", "state"),
            ("最近成功", "last success"),
            ("读取行", "rows"), ("隔离", "quarantined"), ("原因", "reason"),
        ],
        [
            (d, s, state["state"], state["last_success"], state["rows"], state["quarantined"],
             escape(state["error"]))
            for d, s, state in rows
        ],
    )  # fmt: skip


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
        for row in (page.rows if page else [])[:rows]:
            _show(row, converter, {c.name: c.item for c in mappings[0].columns})


def collect(broker: Broker, dataset: str = "") -> dict[str, list[Report]]:
    """Run the sources of one dataset, or of all; the reports by dataset."""
    mappings = broker.mappings()
    wanted = [dataset] if dataset else sorted({mapping.dataset for mapping in mappings})
    done: dict[str, list[Report]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    quiet = not OUTPUT.console.is_terminal
    with Progress(*columns, console=OUTPUT.console, transient=True, disable=quiet) as bars:
        for name in wanted:
            runner = broker.runner(name, mappings)
            totals = [broker.source(one).total() for one in mappings if one.dataset == name]
            known = [total for total in totals if total is not None]
            bar = bars.add_task(name, total=sum(known) if len(known) == len(totals) else None)
            seen: dict[str, int] = {}

            def advance(
                source: str, counts: Any, bar: Any = bar, seen: dict[str, int] = seen
            ) -> None:
                seen[source] = counts.rows
                bars.update(bar, completed=sum(seen.values()))

            done[name] = runner.run(broker.settings.batch, advance)
    return done


def show_reports(done: dict[str, list[Report]]) -> None:
    """A table of what was collected, one line a dataset."""
    rows = []
    for name, reports in done.items():
        counts = [report.counts for report in reports]
        rows.append(
            (
                name,
                len(reports),
                sum(one.rows for one in counts),
                sum(one.appended for one in counts),
                sum(one.deleted for one in counts),
                sum(one.unchanged for one in counts),
                sum(one.duplicates for one in counts),
                sum(one.quarantined for one in counts),
            )
        )
    OUTPUT.table(
        [
            ("数据集", "dataset"), ("来源数", "sources"), ("读取行", "rows"), ("归集", "collected"),
            ("删除", "deleted"), ("未变", "unchanged"), ("重复", "duplicates"),
            ("隔离", "quarantined"),
        ],
        rows,
    )  # fmt: skip


def _show(row: Row, converter: Converter, items: dict[str, str]) -> None:
    outcome = row.fault or converter.record(row.cells)
    record = outcome if isinstance(outcome, dict) else {}
    OUTPUT.say(f"[bold]{row.where}[/bold]", f"[bold]{row.where}[/bold]")
    if isinstance(outcome, Fault):
        place = f"{outcome.column} " if outcome.column else ""
        OUTPUT.say(
            f"  [yellow]隔离[/yellow] {place}{outcome.reason}：{outcome.mend}",
            f"  [yellow]quarantine[/yellow] {place}{outcome.reason}: {outcome.mend}",
        )
    OUTPUT.table(
        [("列", "column"), ("形状", "shape"), ("数据项", "item"), ("成为", "becomes")],
        [
            (
                escape(name),
                escape(shape(value)),
                items.get(name, "–"),
                escape(shape(record.get(items.get(name, "")))),
            )
            for name, value in row.cells.items()
        ],
    )


def shape(value: object) -> str:
    """The shape of a value: digits become 9, letters a, 汉字 字; never the value."""
    if value is None:
        return "∅"
    if not isinstance(value, str):
        return type(value).__name__
    signs = ["9" if c.isdigit() else "a" if c.isascii() and c.isalpha() else
             c if c.isascii() else "字" for c in value[:40]]  # fmt: skip
    return "".join(signs)
