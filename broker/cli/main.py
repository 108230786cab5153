"""The `shuqiao` command: parse, call, print; one module per noun.

Law: a command holds no logic of its own. Every refusal ends with one sentence that
says where and what to do, on standard error, and exit status 1; never a traceback
for an error that ShuQiao foresaw.
"""

import sys
from typing import Annotated

import typer

from broker.cli import (
    catalog,
    connect,
    consumer,
    doctor,
    grant,
    migrate,
    policy,
    quarantine,
    reconcile,
    relay,
    share,
    topics,
    up,
)
from broker.cli.demo.command import demo
from broker.cli.output import OUTPUT, configure
from broker.errors import ShuQiaoError

app = typer.Typer(
    name="shuqiao",
    help="数桥 ShuQiao: 一次采集、共享共用 — collected once, shared by all who may use it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def options(
    lang: Annotated[str, typer.Option(help="zh | en", envvar="SHUQIAO_LANG")] = "",
    json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """Options that every command understands."""
    if lang not in ("", "zh", "en"):
        raise typer.BadParameter("zh | en", param_hint="--lang")
    configure(lang, json)


app.add_typer(catalog.app, name="catalog", help="政务数据目录: datasets and their items")
app.add_typer(connect.app, name="connect", help="归集: run the connectors")
app.add_typer(consumer.app, name="consumer", help="使用方: who receives")
app.add_typer(grant.app, name="grant", help="授权: what, for whom, why, until when")
app.add_typer(policy.app, name="policy", help="策略: check and explain decisions")
app.add_typer(share.app, name="share", help="共享主题: what is released")
app.add_typer(quarantine.app, name="quarantine", help="隔离区: what was wrong, and what to do")
app.add_typer(topics.app, name="topics", help="集群: topics, users and rights on Kafka")
app.add_typer(migrate.app, name="migrate", help="换到另一种引擎: to the other engine")
app.command()(demo)
app.command("relay")(relay.relay)
app.command("reconcile")(reconcile.reconcile)
app.command("doctor")(doctor.doctor)
app.command("controller")(up.controller)
app.command("serve")(up.serve)
app.command("up")(up.up)


def main() -> None:
    """Entry point."""
    try:
        app()
    except ShuQiaoError as error:
        OUTPUT.say(str(error), str(error), sign="✗")
        sys.exit(1)


if __name__ == "__main__":
    main()
