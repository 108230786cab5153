"""`shuqiao grant`: a consumer's right to named items of a dataset, for a purpose, for a time."""

from contextlib import suppress
from dataclasses import asdict
from typing import Any

import typer

from broker.bootstrap import Broker, opened
from broker.cli.output import OUTPUT
from broker.cli.words import reasons_in_words, refusal_in_words, standing_in_words
from broker.errors import GrantError, StoreError
from broker.policy.model import Decision, Grant
from broker.sharing.application import Application
from broker.sharing.service import Outcome
from broker.sharing.share import Share
from broker.telemetry import GrantDecided

app = typer.Typer(no_args_is_help=True)

_WIPE = 1.0
"""Seconds for which a command that takes a right away goes on wiping."""


@app.command()
def add(
    consumer: str,
    dataset: str,
    items: str = typer.Option(..., help="items asked for, with commas"),
    purpose: str = typer.Option(..., help="purpose 使用场景"),
    basis: str = typer.Option(..., help="legal basis 使用依据"),
    scope: str = typer.Option(..., help="division of the division table"),
    until: str = typer.Option(..., help="last day, YYYY-MM-DD"),
    since: str = typer.Option("", help="first day, YYYY-MM-DD; today when left out"),
    impact: str = typer.Option(..., help="impact assessment 个人信息保护影响评估 (reference)"),
    notice: str = typer.Option(..., help="notice to the residents 告知 (reference, or exemption)"),
    filter: str = typer.Option("", help="row filter, e.g. {eq: {status: A}}"),
    minors: str = typer.Option("", help="legal basis for rows about people under 14"),
) -> None:
    """Give a grant 授权; says at once what it releases, or why nothing."""
    with opened() as broker:
        application = Application(
            consumer=consumer,
            dataset=dataset,
            items=[name.strip() for name in items.split(",") if name.strip()],
            purpose=purpose,
            legal_basis=basis,
            scope=scope,
            valid_from=since or broker.today.isoformat(),
            valid_until=until,
            impact_assessment=impact,
            notice=notice,
            filter=filter,
            minors=minors,
        )
        outcome = broker.sharing.add_grant(application)
        decision = outcome.decision
        broker.telemetry.emit(
            GrantDecided(
                dataset=dataset,
                grant=outcome.grant.id,
                share=outcome.share.id if outcome.share else "",
                policy_version=decision.policy_version,
            )
        )
        share = outcome.share
        if OUTPUT.as_json:
            OUTPUT.document(_document(outcome.grant, decision, share.id if share else None))
            return
        if share is None or decision.refused:
            zh, en = (decision.refused.zh, decision.refused.en) if decision.refused else ("", "")
            OUTPUT.say(
                f"授权 {outcome.grant.id} 不产生共享：{zh}",
                f"grant {outcome.grant.id} opens no share: {en}",
                sign="○",
            )
            return
        shown = ", ".join(f"{name}→{effect}" for name, effect in decision.released.items())
        withheld = [name for name in outcome.grant.items if name not in decision.released]
        shown += "".join(f", {name}→drop" for name in withheld)
        OUTPUT.say(
            f"授权 {outcome.grant.id} → 共享主题 {share.topic}\n  {shown}",
            f"grant {outcome.grant.id} → shared topic {share.topic}\n  {shown}",
            sign="✓",
        )


@app.command("list")
def list_() -> None:
    """List the grants."""
    with opened() as broker:
        rows = [(one.grant, one.state_on(broker.today)) for one in broker.sharing.grants()]
    if OUTPUT.as_json:
        OUTPUT.document([{**_fields(grant), "state": state} for grant, state in rows])
        return
    OUTPUT.table(
        [
            ("授权", "grant"),
            ("使用方", "consumer"),
            ("数据集", "dataset"),
            ("范围", "scope"),
            ("截止", "until"),
            ("状态", "state"),
        ],
        [(g.id, g.consumer.id, g.dataset, g.scope.code, g.valid_until, state) for g, state in rows],
        spare=("scope",),
    )


@app.command()
def show(grant: str) -> None:
    """Show a grant and why each item comes out as it does."""
    with opened() as broker:
        stored = broker.sharing.grant(grant)
        found, standing = stored.grant, stored.standing(broker.today)
        decision = broker.sharing.decision(grant)
        if OUTPUT.as_json:
            OUTPUT.document({**_document(found, decision, None), **asdict(standing)})
            return
        words = {
            **_fields(found),
            "items": OUTPUT.text("、", ", ").join(found.items),
            "state": standing_in_words(stored, broker.today, OUTPUT.lang),
        }
        OUTPUT.table(
            [("字段", "field"), ("值", "value")],
            list(words.items()),
        )
        OUTPUT.table(
            [("数据项", "item"), ("效果", "effect"), ("理由", "why")],
            [
                (name, decision.effects[name], reasons_in_words(decision, name, OUTPUT.lang))
                for name in found.items
                if name in decision.effects  # an item may have been renamed since
            ],
        )
        if decision.refused:
            said = refusal_in_words(decision, stored, broker.today, OUTPUT.lang)
            OUTPUT.say(f"不产生共享：{said}", f"no share: {said}")


@app.command()
def revoke(
    grant: str,
    reason: str = typer.Option(..., help="why; kept with the grant"),
    emergency: bool = typer.Option(False, "--emergency", help="also while the store is away"),
) -> None:
    """End a grant 终止 for good: the right goes at once, its share closes if nobody else has it."""
    with opened() as broker:
        if emergency:
            _revoke_at_once(broker, grant, reason)
        else:
            _ended(broker, broker.sharing.revoke(grant, reason), "TERMINATED")


def _revoke_at_once(broker: Broker, grant: str, reason: str) -> None:
    """Take the right first, then tell the store, which may be away."""
    cut, left = None, list[str]()
    with suppress(GrantError):  # not known on this machine: then the store must say
        cut, left = broker.emergency.end(grant, reason)
    try:
        outcome = broker.sharing.revoke(grant, reason)
    except GrantError:  # a controller that works beside may have carried it out by now
        if (ended := broker.sharing.ended(grant)) is None:
            raise
        outcome = ended
    except StoreError as error:
        if cut is None:
            raise
        _journalled(grant, sorted(topic for _, topic in cut.taken), left, error)
        return
    broker.emergency.forget([grant])
    _ended(broker, outcome, "TERMINATED")


def _journalled(grant: str, topics: list[str], left: list[str], away: StoreError) -> None:
    if OUTPUT.as_json:
        OUTPUT.document({"grant": grant, "topics": topics, "unconfirmed": left, "store": "away"})
        return
    OUTPUT.say(
        f"授权 {grant}：集群上的读取权已收回（{'、'.join(topics)}），并已记入日志",
        f"grant {grant}: its right on the cluster is taken ({', '.join(topics)}), and journalled",
        sign="✓",
    )
    _say_unconfirmed(left)
    OUTPUT.say(
        f"控制库不可用，恢复后由控制器补记：{away}",
        f"the store is away, the controller carries it out once it is back: {away}",
        sign="○",
    )


@app.command()
def suspend(grant: str, reason: str = typer.Option(..., help="why; kept with the grant")) -> None:
    """Suspend a grant 暂停: as ending it, until it is resumed."""
    with opened() as broker:
        _ended(broker, broker.sharing.suspend(grant, reason), "SUSPENDED")


@app.command()
def resume(grant: str, reason: str = typer.Option(..., help="why; kept with the grant")) -> None:
    """Resume a suspended grant 恢复; it gets a new share."""
    with opened() as broker:
        outcome = broker.sharing.resume(grant, reason)
        broker.life.advance()
        _told(outcome.grant, outcome.decision, outcome.share, "ACTIVE", [], [], [])


def _say_unconfirmed(brokers: list[str]) -> None:
    if brokers:
        OUTPUT.say(
            f"  尚未确认：{'、'.join(brokers)}；控制器继续处理",
            f"  not confirmed by {', '.join(brokers)}; the controller keeps trying",
            sign="✗",
        )


def _ended(broker: Broker, outcome: Outcome, state: str) -> None:
    """Close what nobody uses any more, and say so."""
    closed = broker.life.advance(within=_WIPE)
    left = broker.life.unconfirmed
    _told(outcome.grant, outcome.decision, None, state, closed, broker.life.closing(), left)


def _told(
    grant: Grant,
    decision: Decision,
    share: Share | None,
    state: str,
    closed: list[str],
    closing: list[str],
    unconfirmed: list[str],
) -> None:
    if OUTPUT.as_json:
        document = _document(grant, decision, share.id if share else None)
        after = {"state": state, "closed": closed, "closing": closing, "unconfirmed": unconfirmed}
        OUTPUT.document(document | after)
        return
    OUTPUT.say(f"授权 {grant.id}：{state}", f"grant {grant.id}: {state}", sign="✓")
    _say_unconfirmed(unconfirmed)
    for name in closed:
        OUTPUT.say(
            f"  共享 {name} 已关闭：主题已删除并擦除，记录密钥已销毁",
            f"  share {name} is closed: its topic is deleted and wiped, its record key destroyed",
        )
    for name in () if unconfirmed else closing:
        OUTPUT.say(
            f"  共享 {name} 已不可读，但还有人在读日志的旧状态，或要擦除的太多：值尚待擦除，"
            "由控制器或下一条命令完成",
            f"  share {name} can be read no more, but somebody still reads an older state of the "
            "log, or there is much to wipe: its values are still to be wiped, by the controller "
            "or the next command",
        )
    if share is not None:
        OUTPUT.say(f"  共享主题 {share.topic}", f"  shared topic {share.topic}")


def _fields(grant: Grant) -> dict[str, Any]:
    return {
        "grant": grant.id,
        "consumer": grant.consumer.id,
        "dataset": grant.dataset,
        "items": list(grant.items),
        "purpose": grant.purpose,
        "legal_basis": grant.legal_basis,
        "scope": grant.scope.code,
        "valid_from": grant.valid_from,
        "valid_until": grant.valid_until,
        "impact_assessment": grant.impact_assessment,
        "notice": grant.notice,
        "minors": grant.minors,
    }


def _document(grant: Grant, decision: Decision, share: str | None) -> dict[str, Any]:
    return {
        **_fields(grant),
        "share": share,
        "effects": {name: str(effect) for name, effect in decision.effects.items()},
        "refused": decision.refused.code if decision.refused else "",
    }
