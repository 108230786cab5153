"""`shuqiao relay`: write every consumer's lawful view."""

from functools import partial
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.bootstrap import Broker, opened
from broker.cli.output import OUTPUT
from broker.cli.up import run
from broker.errors import RegistryError, SettingsError
from broker.relay.chosen import tell_projection
from broker.relay.progress import Progress as Relayed
from broker.relay.yearly import order_year
from broker.telemetry import SharesOpen


def relay(
    follow: bool = typer.Option(False, "--follow", help="go on until stopped"),
) -> None:
    """Bring every share up to the end of its collected topic; --follow goes on from there."""
    if follow:
        run(lambda broker: [broker.relay_role()])
        return
    with opened() as broker:
        done = relay_all(broker)
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                name: {
                    "read": one.read,
                    "written": one.written,
                    "tombstones": one.tombstones,
                    "quarantined": one.quarantined,
                }
                for name, one in done.items()
            }
        )
        return
    show_progress(done)


def relay_all(broker: Broker) -> dict[str, Relayed]:
    """Bring the shares into line with grants and policy, then relay every dataset."""
    tell_projection(broker.telemetry.emit)
    broker.sharing.settle()
    publish(broker)
    broker.life.provision()
    for name in broker.catalog.datasets:
        order_year(broker.log, name, broker.today.year)
    done: dict[str, Relayed] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    quiet = not OUTPUT.console.is_terminal
    with Progress(*columns, console=OUTPUT.console, transient=True, disable=quiet) as bars:
        for name, dataset in broker.catalog.datasets.items():
            shares = partial(broker.sharing.shares, name)
            broker.telemetry.emit(SharesOpen(dataset=name, shares=len(shares())))
            bar = bars.add_task(name, total=None)

            def advance(batch: Relayed, bar: Any = bar) -> None:
                bars.update(bar, advance=batch.read)

            done[name] = broker.relay.run_once(dataset, shares, advance)
    broker.life.advance()
    return done


def publish(broker: Broker) -> None:
    """Publish schemas where they are published elsewhere; what cannot be is said, and waits."""
    if broker.publisher is None:
        return
    say = Console(stderr=True) if OUTPUT.as_json else OUTPUT.console
    try:
        broker.publisher.step()
    except (RegistryError, SettingsError) as error:
        say.print(f"✗ {error}", markup=False, highlight=False, soft_wrap=True)
    if waiting := len(broker.publisher.waiting()):
        zh = f"○ {waiting} 个共享等待登记数据结构"
        words = OUTPUT.text(zh, f"○ {waiting} shares wait until their schemas are published")
        say.print(words, markup=False, highlight=False)


def show_progress(done: dict[str, Relayed]) -> None:
    """A table of what was relayed."""
    OUTPUT.table(
        [
            ("数据集", "dataset"), ("读取", "read"), ("写出", "written"), ("墓碑", "tombstones"),
            ("隔离", "quarantined"),
        ],
        [
            (name, one.read, one.written, one.tombstones, one.quarantined)
            for name, one in done.items()
        ],
    )  # fmt: skip
