"""What a change does, before it is made: who gains or loses which item, which rule is loosened."""

from collections.abc import Sequence
from dataclasses import asdict

import typer

from broker.cli.output import OUTPUT
from broker.cli.words import effect_in_words, state_in_words
from broker.policy import loosening
from broker.policy.impact import BOTH, NARROWER, ROWS, WIDER, Change
from broker.policy.loosening import Loosened

_HOW = {
    loosening.TIER: ("准入等级表的这一格放宽", "this cell of the tier table shows more"),
    loosening.LIMIT: ("上限取消、缩小或放宽", "the limit is gone, narrower or higher"),
    loosening.FORBID: ("禁止取消或缩小", "the forbid is gone or narrower"),
    loosening.ROWS: ("禁止的行有变", "other rows are forbidden"),
    loosening.RELAX: ("放宽是新的、更大或更久", "the relax is new, wider or lasts longer"),
    loosening.PRESENCE: ("在册级别降低", "the presence level is lowered"),
    loosening.GUARD: ("防重识别取消或放宽", "the guard is gone or weaker"),
    loosening.INTERPLAY: (
        "别处收紧后，它可能不再遮盖",
        "what is stricter elsewhere may end what it hides",
    ),
    loosening.UNREADABLE: (
        "这个版本已无法读入：什么都可能放宽；上表以现有共享实际提供的为“以前”",
        "it can no longer be loaded: anything may be loosened; above, what the shares show now "
        "stands for what was before",
    ),
    loosening.UNKNOWN: ("效果不在阶梯上，无法比较", "an effect outside its ladder: not comparable"),
}


def ask(yes: bool, zh: str, en: str) -> None:
    """Go on only where somebody agrees, or has said so before (`yes`)."""
    if not yes and not typer.confirm(OUTPUT.text(zh, en), err=True):
        raise typer.Exit(1)


def change_document(change: Change) -> dict[str, str]:
    """A change as JSON."""
    return {name: str(value) for name, value in asdict(change).items()} | {
        "before": str(change.before),
        "after": str(change.after),
    }


def show_changes(found: Sequence[Change]) -> None:
    """A table of who gains or loses what."""
    if not found:
        OUTPUT.say("没有一项授权的结果改变", "no grant comes out differently", sign="○")
        return
    words = {
        NARROWER: OUTPUT.text("收窄", "narrower"),
        WIDER: OUTPUT.text("放宽", "wider"),
        BOTH: OUTPUT.text("不可比，按放宽处理", "neither: counts as wider"),
    }
    OUTPUT.table(
        [
            ("使用方", "consumer"), ("数据集", "dataset"), ("数据项", "item"), ("以前", "before"),
            ("以后", "after"), ("方向", "direction"), ("授权状态", "grant is"),
        ],
        [
            (
                one.consumer,
                one.dataset,
                OUTPUT.text("（行）", "(rows)") if one.item == ROWS else one.item,
                "–" if one.item == ROWS else effect_in_words(one.before, OUTPUT.lang),
                "–" if one.item == ROWS else effect_in_words(one.after, OUTPUT.lang),
                words[one.direction],
                state_in_words(one.state, OUTPUT.lang),
            )
            for one in found
        ],
    )  # fmt: skip


def show_loosened(found: Sequence[Loosened]) -> None:
    """Which rules are loosened, whoever has a grant; nothing where none is."""
    if not found:
        return
    OUTPUT.say(
        "放宽了规则（与有没有授权无关，需要第二个人批准）：",
        "rules are loosened (whoever has a grant: another person has to approve):",
        sign="○",
    )
    for one in found:
        zh, en = _HOW[one.how]
        OUTPUT.say(f"  {one.id}：{zh}", f"  {one.id}: {en}")
