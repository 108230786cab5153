"""The demo goes on: somebody moves, the departments' records change, the shares follow.

Law: only the demo's own sample databases are written to.
"""

import sqlite3
import time
from collections.abc import Callable
from datetime import datetime

from broker.bootstrap import Broker
from broker.cli.connect import collect
from broker.cli.output import OUTPUT
from broker.relay.progress import Progress

_DATASET = "ga.resident_base"
_PAUSE = 4.0


def watch(broker: Broker, relay: Callable[[], dict[str, Progress]]) -> None:
    """Every few seconds one resident of 东昌府区 moves to another town, until Ctrl-C."""
    OUTPUT.head(
        "现在有人在搬家：每 4 秒一位居民迁到另一个街道（Ctrl-C 结束）",
        "Now people move: every 4 s one resident goes to another town (Ctrl-C ends it)",
    )
    towns = [one for one in broker.divisions.all() if one.code.startswith("371502")]
    villages = [one for one in towns if one.tier == "village"]
    file = broker.settings.sources_path / "gongan" / "t_rkxx-371502.db"
    try:
        for turn in range(1, len(villages)):
            place = villages[turn * 37 % len(villages)]
            _move(file, turn, place.code, datetime.now(broker.settings.zone))
            (report, *_) = [one for one in collect(broker, _DATASET)[_DATASET] if one.counts.rows]
            progress = relay()[_DATASET]
            town = broker.divisions.path(place.code)[-2].name
            OUTPUT.say(
                f"  一位居民迁到 {town}：归集 {report.counts.appended} 条，"
                f"写出 {progress.written} 条，墓碑 {progress.tombstones} 条",
                f"  a resident moves to {town}: {report.counts.appended} collected, "
                f"{progress.written} written, {progress.tombstones} tombstones",
            )
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        OUTPUT.say("\n  结束。", "\n  Done.")


def _move(file: object, turn: int, division: str, now: datetime) -> None:
    connection = sqlite3.connect(str(file))
    with connection:
        connection.execute(
            "UPDATE t_rkxx SET xzqh=?, gxsj=? WHERE rowid=?",
            (division, now.strftime("%Y-%m-%d %H:%M:%S"), turn + 40),
        )
    connection.close()
