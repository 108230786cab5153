"""Number 2: a rule is tightened as a security officer would, and the shares follow.

Law: nothing is narrowed but by a rule file and `policy apply`; its removal, which shows more,
names another approver.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from broker.cli.changes import show_changes
from broker.cli.demo.stage import Stage, say, sign_of, told
from broker.cli.output import OUTPUT
from broker.errors import ShuQiaoError
from broker.policy.impact import Change
from broker.sharing.share import LIVE, Share

_PREFIX = "demo-tighten-"
_AUTHOR, _APPROVER = "officer_demo", "steward_demo"


@dataclass(frozen=True, slots=True)
class _Rule:
    id: str
    consumer: str
    dataset: str
    item: str
    to: str
    title: str
    reason: str

    def text(self) -> str:
        """As a rule file."""
        return (
            "# 演示：收紧一条规则\nrules:\n"
            f"  - id: {_PREFIX}{self.id}\n    title: {self.title}\n    reason: {self.reason}\n"
            f"    owner: {self.dataset.partition('.')[0]}\n"
            f"    limit: {{datasets: [{self.dataset}], items: [{self.item}], "
            f"consumers: [{self.consumer}], to: {self.to}}}\n"
        )


_RULES = (
    _Rule("address", "grid_dongchangfu", "ga.resident_base", "hukou_addr", "county",
          "网格平台的户籍地址只到县区", "网格化管理用现住区划，不需要户籍街道。"),
    _Rule("name", "mz_verify", "ga.resident_base", "name", "surname",
          "身份核验只给姓", "核验比对身份证号，姓名给姓即可。"),
    _Rule("pay_month", "wj_planning", "mz.disability_subsidy", "pay_month", "year",
          "康复规划的发放月份只到年", "按年测算，不需要月份。"),
    _Rule("birth", "town_gulou", "wj.vaccination", "birth_date", "year",
          "接种提醒的出生日期只到年", "提醒不需要生日。"),
)  # fmt: skip


def tighten(stage: Stage) -> None:
    """Narrow one item for one consumer; see the old share close and the new one open."""
    broker = stage.broker
    folder = broker.settings.local_policies / "rules"
    live = {(one.grant.consumer.id, one.grant.dataset): share for one, share in stage.live()}
    free = [one for one in _RULES if not _file(folder, one).exists()]
    rule = next((one for one in free if (one.consumer, one.dataset) in live), None)
    if rule is None:
        say(
            "[2] 没有可以再收紧的了：按 6 恢复",
            "[2] nothing is left to tighten: 6 restores it",
            sign="○",
        )
        return
    share = live[rule.consumer, rule.dataset]
    file = _file(folder, rule)
    say(f"  {file}：", f"  {file}:")
    OUTPUT.quote(rule.text())
    OUTPUT.command(f'./run policy apply --author {_AUTHOR} --reason "{rule.reason}"')
    file.write_text(rule.text(), "utf-8")
    try:
        started, found = _apply(stage, rule.reason)
    except ShuQiaoError:
        file.unlink()  # what is not in force is offered again
        raise
    show_changes(found)
    times, opened = _follow(stage, started, rule, share)
    say(
        f"[2] 旧共享 {share.id}：HTTP {told(times, 'http')}后拒绝，主题 {told(times, 'topic')}后"
        f"删除；新共享 {opened}：{told(times, 'live')}后可读，{rule.item} 只给到 {rule.to}",
        f"[2] old share {share.id}: refused over HTTP after {told(times, 'http')}, its topic "
        f"deleted after {told(times, 'topic')}; new share {opened}: readable after "
        f"{told(times, 'live')}, with {rule.item} down to {rule.to}",
        sign=sign_of(len(times) == 3, bool(found)),
    )
    say(
        "  为什么要紧：收窄几秒内生效，事先看得见谁失去什么；多给则要第二个人批准（按 6 可见）。",
        "  Why it matters: narrowing is in force within seconds, and who loses what is seen "
        "before; showing more needs a second person (6 shows it).",
    )


def loosen(stage: Stage) -> bool:
    """Remove the tightened rules; whether there were any."""
    folder = stage.broker.settings.local_policies / "rules"
    files = sorted(folder.glob(f"{_PREFIX}*.yaml"))
    if not files:
        return False
    for file in files:
        file.unlink()
    reason = OUTPUT.text("演示：撤下收紧的规则", "demo: the tightened rules are removed")
    OUTPUT.command(
        f'./run policy apply --author {_AUTHOR} --approver {_APPROVER} --reason "{reason}"'
    )
    _, found = _apply(stage, reason, _APPROVER)
    show_changes(found)
    say(
        f"[6] 收紧的规则已撤下（{len(files)} 条），由 {_APPROVER} 批准：多给要两个人",
        f"[6] tightened rules removed: {len(files)}, approved by {_APPROVER}: "
        "showing more takes two people",
        sign="✓",
    )
    return True


def _file(folder: Path, rule: _Rule) -> Path:
    return folder / f"{_PREFIX}{rule.id}.yaml"


def _apply(stage: Stage, reason: str, approver: str = "") -> tuple[float, list[Change]]:
    """When it was put in force, and what it changed."""
    broker = stage.broker
    content, _ = broker.versions.files(broker.today)
    found = broker.sharing.impact(content)
    started = time.monotonic()
    broker.sharing.apply(content, _AUTHOR, approver, reason)
    return started, found


def _follow(stage: Stage, started: float, rule: _Rule, old: Share) -> tuple[dict[str, float], str]:
    broker = stage.broker
    opened: list[Share] = []

    def live() -> bool:
        opened[:] = [
            one.share
            for one in broker.sharing.audiences(rule.dataset)
            if rule.consumer in one.readers and one.share.id != old.id
        ]
        return bool(opened) and opened[0].state == LIVE

    def refused() -> bool:
        path = f"/v1/shares/{old.id}/records?limit=1"
        return stage.site.get(rule.consumer, path)[0] in (403, 404, 410)

    times = stage.clock(
        started,
        {"http": refused, "topic": lambda: old.topic not in broker.log.topics(), "live": live},
    )
    return times, opened[0].id if opened else "–"
