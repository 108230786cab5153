"""Number 4: the relay that works is killed with -9; the one that stands by takes over.

Law: who works is read from the holds; that nothing is lost is recomputed, not assumed.
"""

import time

from broker.cli.demo.board import caught_up
from broker.cli.demo.checking import compare, tell
from broker.cli.demo.stage import Stage, say, sign_of, told
from broker.cli.output import OUTPUT

_BURST = 3


def kill(stage: Stage) -> None:
    """Kill it in the middle of changes, and see the other go on."""
    at_work = working(stage)
    if not at_work:
        say(
            "[4] 现在没有分发进程在工作：稍等再试",
            "[4] no relay is at work just now: try again in a moment",
            sign="○",
        )
        return
    holder = at_work[0]
    broker, processes = stage.broker, stage.processes
    number = processes.ids()[holder]
    other = next(one for one in ("relay-1", "relay-2") if one != holder)
    holds = [broker.hold(f"relay.{name}") for name in broker.catalog.datasets]
    before = _collected(stage)
    for _ in range(_BURST):
        stage.day.next(stage.now())
    OUTPUT.command(f"kill -9 {number}")
    started = time.monotonic()
    processes.kill(holder)

    def taken_over() -> bool:
        if broker.cluster is not None:  # the group gives its partitions to those that are left
            return relayed()
        standing = {one for one in processes.ids().values() if one} - {number}
        return all(hold.last() in standing for hold in holds)

    def relayed() -> bool:
        return _collected(stage) >= before + _BURST and caught_up(broker)

    times = stage.clock(started, {"taken": taken_over, "relayed": relayed})
    say(
        f"[4] {holder}（{number}）被 kill -9；{told(times, 'taken')}后 {other} "
        f"接手全部数据集；{told(times, 'relayed')}后，其间的变化都到了共享",
        f"[4] {holder} ({number}) was killed; {other} had every dataset after "
        f"{told(times, 'taken')}; what changed meanwhile was in the shares after "
        f"{told(times, 'relayed')}",
        sign=sign_of(len(times) == 2),
    )
    started = time.monotonic()
    checked = compare(broker, stage.stop.is_set)
    tell(checked, time.monotonic() - started, "[4] ")
    say(
        "  为什么要紧：进程可以在任何一步消失；记录和进度在同一次提交里，接手的从已提交处继续。",
        "  Why it matters: a process may vanish at any step; records and position land in one "
        "commit, and who takes over goes on from there.",
    )


def working(stage: Stage) -> list[str]:
    """The names of the relays at work, who has the most datasets first. On a cluster all are:
    they share the partitions."""
    broker, ids = stage.broker, stage.processes.ids()
    names = {number: name for name, number in ids.items() if number and name.startswith("relay")}
    if broker.cluster is not None:
        return list(names.values())
    last = [broker.hold(f"relay.{name}").last() for name in broker.catalog.datasets]
    held = [names[one] for one in last if one in names]
    return sorted(set(held), key=held.count, reverse=True)


def _collected(stage: Stage) -> int:
    """How many records were ever collected."""
    log = stage.broker.log
    return sum(
        log.end(one.collected_topic, partition)
        for one in stage.broker.catalog.datasets.values()
        for partition in range(one.partitions)
    )
