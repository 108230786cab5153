"""`shuqiao topics`: what stands on the cluster, against what should."""

from dataclasses import asdict

import typer

from broker.bootstrap import opened
from broker.cli.output import OUTPUT

app = typer.Typer(no_args_is_help=True)

_KINDS = {"topic": "主题", "setting": "配置", "user": "用户", "right": "权限"}


@app.callback()
def _only() -> None:
    """Topics of the cluster."""


@app.command()
def check(
    apply: bool = typer.Option(False, "--apply", help="mend what can be mended"),
) -> None:
    """Compare topics, settings, users and rights of the cluster with what should be; a right that
    nobody granted is a difference. Exit status 1 where any is left."""
    with opened() as broker:
        checked = broker.topics_check
        before = checked.differences()
        left = checked.apply() if apply and before else before
    mended = len(before) - len(left)
    if OUTPUT.as_json:
        OUTPUT.document({"mended": mended, "differences": [asdict(one) for one in left]})
    else:
        for one in left:
            OUTPUT.say(
                f" {_KINDS[one.kind]}：{one.found}，应为：{one.wanted} — {one.mend}",
                f" {one.kind}: {one.found}, should be: {one.wanted} — {one.mend}",
                strong=one.name,
                sign="✗",
            )
        if mended:
            OUTPUT.say(f"已修复 {mended} 处", f"{mended} mended", sign="✓")
        if not left:
            OUTPUT.say("集群与应有的一致", "the cluster is as it should be", sign="✓")
    if left:
        raise typer.Exit(1)
