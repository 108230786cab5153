"""`shuqiao policy`: check the files, explain a decision, show the whole matrix."""

import typer

from broker.bootstrap import opened
from broker.cli.output import OUTPUT
from broker.cli.words import reasons_in_words
from broker.policy.load import check_policy

app = typer.Typer(no_args_is_help=True)


@app.command()
def check() -> None:
    """Load and type-check the policy; every error names file and line."""
    with opened() as broker:
        errors = check_policy(broker.policy_folders, broker.catalog, broker.today)
        version = "" if errors else broker.policy.version
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                "version": version,
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
    if errors:
        raise typer.Exit(1)


@app.command()
def explain(consumer: str, dataset: str) -> None:
    """Why each item of a dataset comes out as it does for a consumer."""
    with opened() as broker:
        broker.catalog.dataset(dataset)
        broker.sharing.consumer(consumer)
        mine = [
            (one.grant, one.decision)
            for one in broker.sharing.decided()
            if one.grant.consumer.id == consumer and one.grant.dataset == dataset
        ]
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "grant": grant.id,
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
                for grant, decision in mine
            ]
        )
        return
    if not mine:
        OUTPUT.say(
            f"{consumer} 没有 {dataset} 的授权：什么也不提供。`shuqiao grant add` 可以登记授权。",
            f"{consumer} has no grant for {dataset}: nothing is released. See `shuqiao grant add`.",
        )
    for grant, decision in mine:
        OUTPUT.say(
            f" · 授权 {grant.id} · {grant.purpose} · 策略 {decision.policy_version}",
            f" · grant {grant.id} · {grant.purpose} · policy {decision.policy_version}",
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
            refusal = decision.refused
            OUTPUT.say(f"不产生共享：{refusal.zh}", f"no share: {refusal.en}")


@app.command()
def matrix() -> None:
    """Every grant's effect for every item: consumer × dataset × item."""
    with opened() as broker:
        rows = [
            (one.grant.consumer.id, one.grant.dataset, one.decision)
            for one in broker.sharing.decided()
        ]
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "consumer": consumer,
                    "dataset": dataset,
                    "refused": decision.refused.code if decision.refused else "",
                    "items": {name: str(effect) for name, effect in decision.effects.items()},
                }
                for consumer, dataset, decision in rows
            ]
        )
        return
    OUTPUT.table(
        [
            ("使用方", "consumer"),
            ("数据集", "dataset"),
            ("提供", "released"),
            ("不提供", "withheld"),
        ],
        [
            (
                consumer,
                dataset,
                OUTPUT.text("（无）", "(nothing)")
                if decision.refused
                else ", ".join(f"{n}→{e}" for n, e in decision.released.items()),
                ", ".join(n for n in decision.effects if n not in decision.released),
            )
            for consumer, dataset, decision in rows
        ],
    )
