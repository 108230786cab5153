"""`shuqiao consumer`: the applications that receive."""

import typer

from broker.bootstrap import opened
from broker.cli.output import OUTPUT
from broker.model import Level

app = typer.Typer(no_args_is_help=True)


@app.command()
def add(
    consumer: str,
    department: str = typer.Option(..., help="requesting department 需求部门"),
    tier: str = typer.Option(..., help="access tier 准入等级: T1 … T4"),
    title: str = typer.Option("", help="what it is, in words"),
) -> None:
    """Register a consumer 使用方."""
    if tier not in ("T1", "T2", "T3", "T4"):
        raise typer.BadParameter("T1 | T2 | T3 | T4", param_hint="--tier")
    with opened() as broker:
        added = broker.sharing.add_consumer(consumer, department, Level(int(tier[1])), title)
    if OUTPUT.as_json:
        OUTPUT.document({"consumer": added.id, "department": added.department, "tier": tier})
    OUTPUT.say(f"使用方 {consumer} · {tier}", f"consumer {consumer} · {tier}", sign="✓")


@app.command("list")
def list_() -> None:
    """List the consumers."""
    with opened() as broker:
        found = broker.sharing.consumers()
    if OUTPUT.as_json:
        OUTPUT.document(
            [{"consumer": c.id, "department": c.department, "tier": f"T{c.tier}"} for c in found]
        )
        return
    OUTPUT.table(
        [("使用方", "consumer"), ("部门", "department"), ("准入等级", "tier")],
        [(c.id, c.department, f"T{int(c.tier)}") for c in found],
    )
