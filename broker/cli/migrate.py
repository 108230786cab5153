"""`shuqiao migrate`: from one engine to the other."""

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.bootstrap import opened
from broker.cli.output import OUTPUT
from broker.errors import LogError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _only() -> None:
    """From one engine to the other."""


@app.command("embedded-to-kafka")
def embedded_to_kafka(
    check: bool = typer.Option(False, "--check", help="compare only; copies nothing"),
) -> None:
    """Carry everything collected, and where the sources stand, from this machine's log to the
    Kafka that the settings name; may be broken off and run again. Every grant then gets a new
    share. Nothing else may be at work in the state folder."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    quiet = not OUTPUT.console.is_terminal
    with opened() as broker, broker.presence.alone(), broker.migration() as migration:
        if not check:
            migration.begin()
            with Progress(*columns, console=OUTPUT.console, transient=True, disable=quiet) as bars:
                bar = bars.add_task(OUTPUT.text("复制", "copying"), total=migration.total())
                migration.watched(lambda copied: bars.update(bar, advance=copied))
                migration.copy()
        found = list(migration.compare())
        wrong = [one for one in found if not one.equal]
        if not wrong and not check and not migration.done:
            broker.retire_shares()
            migration.finish()
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                "entries": sum(one.entries for one in found),
                "different": [one.name for one in wrong],
                "migrated": not wrong and not check,
            }
        )
    for one in wrong:
        OUTPUT.say(f"不一致：{one.name}", f"differs: {one.name}", sign="✗")
    if wrong:
        raise LogError(
            f"{len(wrong)} topics or tables differ",
            mend="run it again; see that nothing else writes to the cluster",
        )
    total = sum(one.entries for one in found)
    OUTPUT.say(
        f"{len(found)} 个主题和表、{total} 条，两边逐条一致",
        f"{len(found)} topics and tables with {total} entries are equal, one by one",
        sign="✓",
    )
    if not check:
        OUTPUT.say(
            "  接下来：`shuqiao up`。每项授权会得到新的共享，使用方重新读取快照。"
            "log.db 留到确认无误后再删",
            "  Next: `shuqiao up`. Every grant gets a new share; consumers read its snapshot. Keep "
            "log.db until you are content, then delete it",
        )
