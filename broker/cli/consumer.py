"""`shuqiao consumer`: the applications that receive."""

from dataclasses import asdict

import typer

from broker.bootstrap import opened
from broker.cli.changes import ask, change_document, show_changes
from broker.cli.clock import city_time
from broker.cli.output import OUTPUT
from broker.cli.snippet import snippet
from broker.model import Level
from broker.sharing.foresight import check_tier

app = typer.Typer(no_args_is_help=True)
app.command("snippet")(snippet)
key = typer.Typer(no_args_is_help=True)
app.add_typer(key, name="key", help="API keys: how an application says over HTTP who it is")
credentials = typer.Typer(no_args_is_help=True)
app.add_typer(credentials, name="credentials", help="the consumer's user on the Kafka cluster")


@app.command()
def add(
    consumer: str,
    department: str = typer.Option(..., help="requesting department 需求部门"),
    tier: str = typer.Option(..., help="access tier 准入等级: T1 … T4"),
    title: str = typer.Option("", help="what it is, in words"),
) -> None:
    """Register a consumer 使用方; on a Kafka cluster it gets its user, whose password is shown
    here and never again."""
    level = _level(tier)
    with opened() as broker:
        on_cluster = broker.cluster is not None
        if on_cluster:
            broker.credentials.must_be_free(consumer)
        added = broker.sharing.add_consumer(consumer, department, level, title)
        password = broker.credentials.rotate(consumer) if on_cluster else ""
        broker.reading.settle()
    if OUTPUT.as_json:
        made = {"consumer": added.id, "department": added.department, "tier": tier}
        OUTPUT.document(made | ({"password": password} if password else {}))
        return
    OUTPUT.say(f"使用方 {consumer} · {tier}", f"consumer {consumer} · {tier}", sign="✓")
    if password:
        _show_password(consumer, password)


@credentials.command("rotate")
def rotate(consumer: str) -> None:
    """Give a consumer's Kafka user another password, or make the user; shown here and never again.
    Whoever is connected with the old one must come with the new one within a minute."""
    with opened() as broker:
        known = broker.sharing.consumer(consumer)
        password = broker.credentials.rotate(known.id)
        broker.reading.settle()
    if OUTPUT.as_json:
        OUTPUT.document({"consumer": consumer, "user": consumer, "password": password})
        return
    _show_password(consumer, password)


def _show_password(consumer: str, password: str) -> None:
    OUTPUT.say(
        f"{consumer} 的 Kafka 用户密码（只显示这一次，请妥善保管）：",
        f"the password of the Kafka user {consumer} (shown this once: keep it safe):",
        sign="✓",
    )
    OUTPUT.say(password, password)


@app.command()
def change(
    consumer: str,
    tier: str = typer.Option(..., help="access tier 准入等级: T1 … T4"),
    author: str = typer.Option(..., help="who changes it"),
    reason: str = typer.Option(..., help="why"),
    approver: str = typer.Option("", help="another person, where anybody is shown more"),
    yes: bool = typer.Option(False, "--yes", help="do not ask"),
) -> None:
    """Give a consumer another tier: shows exactly what its grants gain or lose."""
    level = _level(tier)
    with opened() as broker:
        found = broker.sharing.tier_impact(consumer, level)
        if not OUTPUT.as_json:
            show_changes(found)
        known = broker.sharing.consumer(consumer)
        check_tier(known, level, found, author, approver, reason)
        ask(yes, "改为此等级？", "Change it?")
        before = broker.sharing.change_tier(consumer, level, author, approver, reason).tier
        broker.life.advance()
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                "consumer": consumer,
                "before": f"T{int(before)}",
                "after": tier,
                "changes": [change_document(one) for one in found],
            }
        )
        return
    words = f"{consumer} · T{int(before)} → {tier}"
    OUTPUT.say(f"使用方 {words}", f"consumer {words}", sign="✓")


@app.command("changes")
def list_changes() -> None:
    """Who changed which consumer's tier, who approved, and why."""
    with opened() as broker:
        found, zone = broker.sharing.tier_changes(), broker.settings.zone
    if OUTPUT.as_json:
        tiers = [{"before": f"T{one.before}", "after": f"T{one.after}"} for one in found]
        OUTPUT.document([{**asdict(one), **two} for one, two in zip(found, tiers, strict=True)])
        return
    OUTPUT.table(
        [
            ("时间", "at"), ("使用方", "consumer"), ("以前", "before"), ("以后", "after"),
            ("申请人", "author"), ("批准人", "approver"), ("理由", "reason"),
        ],
        [
            (
                city_time(one.at, zone), one.consumer, f"T{one.before}", f"T{one.after}",
                one.author, one.approver, one.reason,
            )
            for one in found
        ],
    )  # fmt: skip


def _level(tier: str) -> Level:
    if tier not in ("T1", "T2", "T3", "T4"):
        raise typer.BadParameter("T1 | T2 | T3 | T4", param_hint="--tier")
    return Level(int(tier[1]))


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


@key.command("add")
def add_key(consumer: str) -> None:
    """Make a key for a consumer; it is shown here and never again."""
    with opened() as broker:
        made = broker.api_keys.add(consumer)
    if OUTPUT.as_json:
        OUTPUT.document({"consumer": consumer, "key": made})
        return
    OUTPUT.say(
        f"{consumer} 的密钥（只显示这一次，请妥善保管）：",
        f"a key of {consumer} (shown this once: keep it safe):",
        sign="✓",
    )
    print(made)


@key.command("list")
def list_keys() -> None:
    """List the keys by id; the keys themselves are not kept."""
    with opened() as broker:
        found, zone = broker.api_keys.all().values(), broker.settings.zone
    if OUTPUT.as_json:
        OUTPUT.document([asdict(one) for one in found])
        return
    OUTPUT.table(
        [
            ("编号", "id"), ("使用方", "consumer"), ("签发", "made"), ("作废", "revoked"),
        ],
        [
            (one.id, one.consumer, city_time(one.made_at, zone), city_time(one.revoked_at, zone))
            for one in found
        ],
    )  # fmt: skip


@key.command("revoke")
def revoke_key(id: str = typer.Argument(..., help="the key's id: sq_ID_…")) -> None:
    """End a key for good; what is open with it ends within two seconds."""
    with opened() as broker:
        revoked = broker.api_keys.revoke(id)
    if OUTPUT.as_json:
        OUTPUT.document(asdict(revoked))
        return
    OUTPUT.say(f"密钥 {id} 已作废", f"key {id} is revoked", sign="✓")


@app.command()
def pulls(
    consumer: str = typer.Argument("", help="one consumer; all when left out"),
    limit: int = typer.Option(20, min=1, help="the newest so many"),
) -> None:
    """What left over HTTP: who, which share, how many records, when."""
    with opened() as broker:
        found, zone = broker.pulls.newest(limit, consumer), broker.settings.zone
    if OUTPUT.as_json:
        OUTPUT.document([asdict(one) for one in found])
        return
    OUTPUT.table(
        [
            ("时间", "at"), ("使用方", "consumer"), ("数据集", "dataset"), ("共享", "share"),
            ("方式", "kind"), ("条数", "records"),
        ],
        [
            (city_time(one.at, zone), one.consumer, one.dataset, one.share, one.kind, one.records)
            for one in found
        ],
        spare=("dataset",),
    )  # fmt: skip
