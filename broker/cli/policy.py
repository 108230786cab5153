"""`shuqiao policy`: check the files, explain a decision, show the whole matrix."""

from dataclasses import asdict

import typer

from broker.bootstrap import opened
from broker.cli.changes import ask, change_document, show_changes, show_loosened
from broker.cli.clock import city_time
from broker.cli.output import OUTPUT
from broker.cli.words import (
    reasons_in_words,
    refusal_in_words,
    standing_in_words,
    state_in_words,
)
from broker.policy.load import check_policy
from broker.sharing.foresight import check_policy_change
from broker.sharing.versions import SHORT

app = typer.Typer(no_args_is_help=True)


@app.command()
def check() -> None:
    """Load and type-check the policy; every error names file and line."""
    with opened() as broker:
        errors = check_policy(broker.policy_folders, broker.catalog, broker.today)
        version, in_force = "", False
        if not errors:
            content, policy = broker.versions.files(broker.today)
            version = policy.version
            in_force = broker.versions.is_in_force(content)
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                "version": version,
                "in_force": in_force,
                "errors": [
                    {"where": one.where, "what": one.what, "mend": one.mend} for one in errors
                ],
            }
        )
    elif errors:
        for one in errors:
            OUTPUT.say(str(one), str(one), sign="✗")
    else:
        OUTPUT.say(
            f"策略无误，版本 {version}",
            f"the policy is in order, version {version}",
            sign="✓",
        )
        if not in_force:
            OUTPUT.say(
                "  文件与生效的版本不同：`shuqiao policy diff` 看影响，"
                "`shuqiao policy apply` 使其生效",
                "  the files differ from the version in force: `shuqiao policy diff` shows what "
                "would change, `shuqiao policy apply` puts them in force",
            )
    if errors:
        raise typer.Exit(1)


@app.command()
def apply(
    author: str = typer.Option(..., help="who changes the policy"),
    reason: str = typer.Option(..., help="why"),
    approver: str = typer.Option("", help="another person, where anybody is shown more"),
    yes: bool = typer.Option(False, "--yes", help="do not ask"),
) -> None:
    """Put the policy files in force as the next version: shows exactly who gains or loses what."""
    with opened() as broker:
        content, _ = broker.versions.files(broker.today)
        before = broker.versions.newest(broker.today)
        found = broker.sharing.impact(content)
        looser = broker.sharing.loosened(content)
        if not OUTPUT.as_json:
            show_changes(found)
            show_loosened(looser)
        check_policy_change(found, looser, author, approver, reason)
        if not broker.versions.is_in_force(content):
            ask(yes, "使其生效？", "Put it in force?")
        number = broker.sharing.apply(content, author, approver, reason)
        broker.life.advance()
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                "version": number,
                "changes": [change_document(one) for one in found],
                "loosened": [asdict(one) for one in looser],
            }
        )
    elif number == before:
        OUTPUT.say(
            f"与版本 {number} 相同，没有变化", f"the same as version {number}: nothing changed"
        )
    else:
        OUTPUT.say(f"版本 {number} 已生效", f"version {number} is in force", sign="✓")


@app.command()
def versions() -> None:
    """The policy versions, the newest in force."""
    with opened() as broker:
        broker.versions.newest(broker.today)
        found, zone = broker.versions.all(), broker.settings.zone
    if OUTPUT.as_json:
        OUTPUT.document([asdict(one) for one in found])
        return
    OUTPUT.table(
        [
            ("版本", "version"), ("摘要", "digest"), ("生效", "applied"), ("申请人", "author"),
            ("批准人", "approver"), ("理由", "reason"),
        ],
        [
            (
                one.number,
                one.digest[:SHORT],
                city_time(one.applied_at, zone),
                one.author,
                one.approver,
                one.reason,
            )
            for one in found
        ],
        spare=("digest",),
    )  # fmt: skip


@app.command()
def diff(
    one: int = typer.Argument(0, help="a version; the one in force when left out"),
    other: int = typer.Argument(0, help="another; the files when left out"),
) -> None:
    """What changes for today's grants between two versions, or from one to the files."""
    with opened() as broker:
        one = one or broker.versions.newest(broker.today)
        if other:
            content = broker.versions.content(other)
        else:
            content, _ = broker.versions.files(broker.today)
        found = broker.sharing.impact(content, one)
        looser = broker.sharing.loosened(content, one)
    if OUTPUT.as_json:
        OUTPUT.document([change_document(change) for change in found])
    else:
        show_changes(found)
        show_loosened(looser)


@app.command()
def explain(consumer: str, dataset: str) -> None:
    """Why each item of a dataset comes out as it does for a consumer."""
    with opened() as broker:
        broker.catalog.dataset(dataset)
        broker.sharing.consumer(consumer)
        today = broker.today
        mine = [
            one
            for one in broker.sharing.decided()
            if one.grant.consumer.id == consumer and one.grant.dataset == dataset
        ]
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "grant": one.grant.id,
                    **asdict(one.stored.standing(today)),
                    "policy_version": decision.policy_version,
                    "refused": decision.refused.code if decision.refused else "",
                    "items": {
                        name: {
                            "effect": str(effect),
                            "why": [
                                {"by": r.by, "id": r.id, "effect": str(r.effect)}
                                for r in decision.reasons[name]
                            ],
                        }
                        for name, effect in decision.effects.items()
                    },
                }
                for one in mine
                for decision in (one.decision,)
            ]
        )
        return
    if not mine:
        OUTPUT.say(
            f"{consumer} 没有 {dataset} 的授权：什么也不提供。`shuqiao grant add` 可以登记授权。",
            f"{consumer} has no grant for {dataset}: nothing is released. See `shuqiao grant add`.",
        )
    for one in mine:
        grant, decision = one.grant, one.decision
        stands = standing_in_words(one.stored, today, OUTPUT.lang)
        OUTPUT.say(
            f" · 授权 {grant.id} · {grant.purpose} · 策略 {decision.policy_version} · {stands}",
            f" · grant {grant.id} · {grant.purpose} · policy {decision.policy_version} · {stands}",
            strong=f"{consumer} {dataset}",
        )
        OUTPUT.table(
            [("数据项", "item"), ("结果", "effect"), ("理由", "why")],
            [
                (name, effect, reasons_in_words(decision, name, OUTPUT.lang))
                for name, effect in decision.effects.items()
            ],
        )
        if decision.refused:
            said = refusal_in_words(decision, one.stored, today, OUTPUT.lang)
            OUTPUT.say(f"不产生共享：{said}", f"no share: {said}")


@app.command()
def matrix() -> None:
    """Every grant's effect for every item: consumer × dataset × item."""
    with opened() as broker:
        rows = [
            (one.grant.consumer.id, one.grant.dataset, one.state, one.decision)
            for one in broker.sharing.decided()
        ]
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "consumer": consumer,
                    "dataset": dataset,
                    "state": state,
                    "refused": decision.refused.code if decision.refused else "",
                    "items": {name: str(effect) for name, effect in decision.effects.items()},
                }
                for consumer, dataset, state, decision in rows
            ]
        )
        return
    OUTPUT.table(
        [
            ("使用方", "consumer"),
            ("数据集", "dataset"),
            ("授权", "grant is"),
            ("提供", "released"),
            ("不提供", "withheld"),
        ],
        [
            (
                consumer,
                dataset,
                state_in_words(state, OUTPUT.lang),
                OUTPUT.text("（无）", "(nothing)")
                if decision.refused
                else ", ".join(f"{n}→{e}" for n, e in decision.released.items()),
                ", ".join(n for n in decision.effects if n not in decision.released),
            )
            for consumer, dataset, state, decision in rows
        ],
    )
