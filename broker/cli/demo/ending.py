"""Numbers 1 and 6: a grant is revoked and all its traces go; what was ended is given again.

Law: that values are gone is looked for in the bytes of the log's files, not asked of the log.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from broker.cli.demo.board import newest
from broker.cli.demo.engine import ENGINE, files_of
from broker.cli.demo.script import GRANTS, NEIGHBOURS
from broker.cli.demo.stage import Stage, say, sign_of, told
from broker.cli.demo.tighten import loosen
from broker.cli.output import OUTPUT
from broker.sharing.application import Application
from broker.sharing.grants import SUSPENDED, TERMINATED, Stored
from broker.sharing.share import CLOSED, LIVE, Share

_ORDER = (
    ("mz_verify", "ga.resident_base"),
    ("wj_planning", "mz.disability_subsidy"),
    ("grid_dongchangfu", "wj.family_doctor_contract"),
    ("town_gulou", "mz.subsistence_allowance"),
    ("town_gulou", "wj.vaccination"),
)
"""Which grants are revoked first; the residents' shares of the two counties last."""

_NEEDLES = 8
_CHUNK = 1 << 22


def revoke(stage: Stage) -> None:
    """Revoke one grant, and see its right, its topic and its values go."""
    live = {(one.grant.consumer.id, one.grant.dataset): (one, share) for one, share in stage.live()}
    chosen = next((live[one] for one in (*_ORDER, *live) if one in live), None)
    if chosen is None:
        say(
            "没有可撤销的授权了：按 6 重新授权",
            "every grant is revoked already: 6 gives them again",
            sign="○",
        )
        return
    stored, share = chosen
    grant, broker = stored.grant, stage.broker
    path = f"/v1/datasets/{grant.dataset}/records?limit=1"
    status, page = stage.site.get(grant.consumer.id, path)
    cursor = f"&cursor={page['cursor']}" if status == 200 else ""
    needles = _values(stage, share)

    def files() -> Sequence[Path]:
        return files_of(broker.settings.log_path, broker.settings.state / ENGINE)

    before = _found(files(), needles)
    answers: dict[str, int] = {}

    def refused() -> bool:
        answers["http"], _ = stage.site.get(grant.consumer.id, path + cursor)
        return answers["http"] in (403, 410)

    def topic_gone() -> bool:
        return share.topic not in broker.log.topics()

    def wiped() -> bool:
        return topic_gone() and not _found(files(), needles)

    reason = OUTPUT.text("演示：不再需要", "demo: no longer needed")
    OUTPUT.command(f'./run grant revoke {grant.id} --reason "{reason}"')
    started = time.monotonic()
    broker.sharing.revoke(grant.id, reason)
    times = stage.clock(
        started,
        {
            "right": lambda: share.id not in {one.id for one in broker.sharing.shares()},
            "http": refused,
            "topic": topic_gone,
            "wiped": wiped,
            "closed": lambda: broker.sharing.share(share.id).state == CLOSED,
        },
    )
    after = _found(files(), needles)
    current, _ = stage.site.get(grant.consumer.id, path)
    where = "log.db, log.db-wal" if broker.cluster is None else "Kafka: *.log"
    say(
        f"[1] 已撤销 {grant.consumer.id} 对 {grant.dataset} 的授权：读取权 {told(times, 'right')}"
        f"后消失；HTTP {told(times, 'http')}后回答 {answers['http']}（重新开始则 {current}）",
        f"[1] revoked {grant.consumer.id}'s grant of {grant.dataset}: the right was gone after "
        f"{told(times, 'right')}; HTTP said {answers['http']} after {told(times, 'http')} "
        f"({current} to who begins again)",
        sign=sign_of("right" in times, "http" in times, current == 403),
    )
    say(
        f"  主题 {told(times, 'topic')}后删除；日志的文件（{where}）里抽查的 {len(needles)} 个值："
        f"之前找到 {before} 个，{told(times, 'wiped')}后 {after} 个；{told(times, 'closed')}"
        "后记录密钥销毁、共享关闭",
        f"  its topic was deleted after {told(times, 'topic')}; of {len(needles)} of its values "
        f"{before} stood in the log's files ({where}) before, {after} after "
        f"{told(times, 'wiped')}; "
        f"its key was destroyed and the share closed after {told(times, 'closed')}",
        sign=sign_of({"topic", "wiped", "closed"} <= times.keys(), not after),
    )
    say(
        "  为什么要紧：授权终止后，不是“以后不再给”，而是已经写出的副本也不再存在。",
        "  Why it matters: ending a grant is not only giving no more; the copy that was written "
        "is gone as well.",
    )


def restore(stage: Stage) -> None:
    """Give again what was revoked, resume what was suspended, remove the tightened rules."""
    loosened = loosen(stage)
    wanted = {(one.consumer, one.dataset) for one in (*GRANTS, NEIGHBOURS) if not one.expired}
    ended = [one for one in _newest(stage) if (one.grant.consumer.id, one.grant.dataset) in wanted]
    started = time.monotonic()
    given: dict[str, str] = {}
    for stored in ended:
        name = f"{stored.grant.consumer.id} {stored.grant.dataset}"
        if stored.state == SUSPENDED:
            outcome = stage.broker.sharing.resume(stored.grant.id, "demo")
        else:
            outcome = stage.broker.sharing.add_grant(_again(stage, stored))
        if outcome.share is not None:
            given[name] = outcome.share.id
    if not given and not loosened:
        say(
            "[6] 没有要恢复的：没有撤销的授权，也没有收紧的规则",
            "[6] nothing to restore: no grant was revoked, no rule tightened",
            sign="○",
        )
        return
    sharing = stage.broker.sharing
    times = stage.clock(
        started,
        {
            name: lambda share=share: sharing.share(share).state == LIVE  # type: ignore[misc]
            for name, share in given.items()
        },
    )
    for name in given:
        say(
            f"[6] 重新授权 {name}：新的共享从头追赶，{told(times, name)}后可读",
            f"[6] granted again {name}: a new share caught up from the start and could be read "
            f"after {told(times, name)}",
            sign=sign_of(name in times),
        )
    if given:
        say(
            "  为什么要紧：共享是新的主题、新的密钥、新的记录键，与已销毁的副本连不起来。",
            "  Why it matters: it is a new topic with a new key: nothing joins it to the copy "
            "that was destroyed.",
        )


def _newest(stage: Stage) -> list[Stored]:
    found = newest(stage.broker.sharing.grants())
    return [one for one in found if one.state in (TERMINATED, SUSPENDED)]


def _again(stage: Stage, stored: Stored) -> Application:
    grant, today = stored.grant, stage.broker.today
    return Application(
        consumer=grant.consumer.id,
        dataset=grant.dataset,
        items=grant.items,
        purpose=grant.purpose,
        legal_basis=grant.legal_basis,
        scope=grant.scope.code,
        valid_from=today.isoformat(),
        valid_until=(today + timedelta(days=365)).isoformat(),
        impact_assessment=grant.impact_assessment,
        notice=grant.notice,
        minors=grant.minors,
    )


def _values(stage: Stage, share: Share) -> list[bytes]:
    """Some of the values that stand in the share, as bytes."""
    log = stage.broker.log
    found: dict[bytes, bytes | None] = {}
    for partition in range(log.topics().get(share.topic, 0)):
        for record in log.read(share.topic, partition, 0, _NEEDLES):
            found[record.key] = record.value
    return [value for value in found.values() if value][:_NEEDLES]


def _found(files: Sequence[Path], values: Sequence[bytes]) -> int:
    """How many of the values stand in the log's files."""
    seen: set[bytes] = set()
    overlap = max(map(len, values), default=1) - 1
    for path in files:
        with ExitStack() as stack:
            try:  # read, not mapped: it may be truncated meanwhile, or go
                opened = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                continue
            tail = b""
            while chunk := opened.read(_CHUNK):
                content = tail + chunk
                seen |= {value for value in values if value in content}
                tail = content[-overlap:] if overlap else b""
    return len(seen)
