"""`shuqiao migrate`: from one engine to the other."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.bootstrap import opened
from broker.cli.output import OUTPUT
from broker.errors import LogError
from broker.migration import Migration

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
    share. Nothing else may be at work in the state folder. Once it is done it compares only."""
    with opened() as broker, broker.presence.alone(), broker.migration() as migration:
        before = migration.done
        if check and not migration.begun:
            raise LogError("nothing has been carried over yet", mend="run it without --check")
        if not check and not before:
            migration.begin()
            with _shown(migration, "复制", "copying"):
                migration.copy()
        with _shown(migration, "比对", "comparing"):
            found = list(migration.compare())
        wrong = [one for one in found if not one.equal]
        if not wrong and not check and not before:
            broker.retire_shares()
            migration.finish()
        done = migration.done
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                "entries": sum(one.entries for one in found),
                "different": [one.name for one in wrong],
                "migrated": done,
            }
        )
    for one in wrong:
        OUTPUT.say(f"不一致：{one.name}", f"differs: {one.name}", sign="✗")
    if wrong:
        mend = "run it without --check; where that does not help, begin anew with an empty cluster"
        if before:
            mend = "something is at work with the file: end it; its sources are read on the cluster"
        raise LogError(f"{len(wrong)} topics or tables differ", mend=mend)
    total = sum(one.entries for one in found)
    OUTPUT.say(
        f"{len(found)} 个主题和表、{total} 条，两边逐键一致",
        f"{len(found)} topics and tables with {total} entries are equal, key by key",
        sign="✓",
    )
    if before:
        OUTPUT.say("  先前已经迁完", "  It was carried over before")
    elif not check:
        OUTPUT.say(
            "  接下来：`shuqiao up`，追上之后 `shuqiao reconcile`。每项授权会得到新的共享，"
            "使用方重新读取快照。log.db 留到确认无误后再删",
            "  Next: `shuqiao up`, and `shuqiao reconcile` once it has caught up. Every grant gets "
            "a new share; consumers read its snapshot. Keep log.db until you are content, then "
            "delete it",
        )


@contextmanager
def _shown(migration: Migration, zh: str, en: str) -> Iterator[None]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    quiet = not OUTPUT.console.is_terminal
    with Progress(*columns, console=OUTPUT.console, transient=True, disable=quiet) as bars:
        bar = bars.add_task(OUTPUT.text(zh, en), total=migration.total())
        migration.watched(lambda offsets: bars.update(bar, advance=offsets))
        yield
