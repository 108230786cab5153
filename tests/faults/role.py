"""One role in a process of its own, which stops itself (SIGSTOP) at a step of its work.

`python -m tests.faults.role FOLDER ROLE STEP NTH`: the role runs until it comes to that
step for the NTH time; whoever watches then kills it, or lets it go on. Without a step it
just runs. The word `unheld` behind them lets it work whoever else has the hold.

    read     a batch was read and made, nothing of it is written
    append   its records are written, the transaction is open
    commit   the transaction is closed, and nobody has heard of it yet
    open     topics of shares were made, the store's transaction is open
    live     a share is to be marked as live
    close    topics of shares were deleted, their keys are still there
    wipe     their keys are destroyed, what they held still stands in the file
    closed   it is wiped, and the share is to be marked as closed
    compact  a part of what was superseded is removed
    page     HTTP has read a batch of a share, and asked for the right
    pull     HTTP has recorded the batch, and nothing of it has left
"""

import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from broker import controller
from broker.bootstrap import Broker
from broker.hold import Hold
from broker.log import compaction
from broker.log.embedded import EmbeddedLog
from broker.roles import Role, run_roles, stop_on_signals
from broker.sharing.life import Life
from broker.sharing.pulls import Pulls
from tests import city

seen: Counter[str] = Counter()
stop_at: tuple[str, int] = ("", 0)


def at(step: str) -> None:
    """The process has come to a step."""
    seen[step] += 1
    if (step, seen[step]) == stop_at:
        # to this thread, so that it goes no further; all others stop with it
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


class Committing:
    """A log that stops before a commit, and after it."""

    def commit(self, batch: Any) -> None:
        if batch.records():
            at("read")
        super().commit(batch)  # type: ignore[misc]
        if batch.records():
            at("commit")


class Stepping(Committing, EmbeddedLog):
    """An embedded log that stops at steps."""

    def _append(self, db: Any, appends: Any) -> None:
        super()._append(db, appends)
        if appends:
            at("append")

    def create_topics(self, topics: Any) -> None:
        super().create_topics(topics)
        at("open")

    def delete_topic(self, name: str) -> None:
        super().delete_topic(name)
        at("close")

    def wiped(self, within: float | None = None) -> bool:
        at("wipe")
        return super().wiped(within)

    def remove(self, topic: str, partition: int, offsets: Any) -> None:
        super().remove(topic, partition, offsets)
        at("compact")


def stepping() -> None:
    """Steps that are not the log's."""
    move, record = Life._move, Pulls.record

    def moving(self: Life, names: Any, before: str, after: str) -> set[str]:
        if names:
            at(after.lower())
        return move(self, names, before, after)

    def recording(self: Pulls, pull: Any) -> None:
        at("page")
        record(self, pull)
        at("pull")

    Life._move = moving  # type: ignore[method-assign]
    Pulls.record = recording  # type: ignore[method-assign]


def on_kafka(broker: Broker) -> None:
    """The same steps of a log on Kafka, by the fast transport."""
    from broker.log.kafka.engine import KafkaLog
    from broker.log.kafka.librdkafka.writing import Writing

    class SteppingThere(Committing, KafkaLog):
        pass

    land = Writing._commit

    def landing(self: Writing) -> None:
        self._producer.flush(10)
        at("append")
        land(self)

    Writing._commit = landing  # type: ignore[method-assign]
    broker.log.__class__ = SteppingThere


def role_of(broker: Broker, name: str) -> Role:
    """The role of that name."""
    if name == "connect":
        return broker.connect_role(lambda words: print(words, flush=True))
    if name == "serve":
        return broker.serve_role(lambda url: print(url, flush=True))
    return broker.relay_role() if name == "relay" else broker.controller_role()


def main() -> None:
    global stop_at
    folder, name, step, nth, *more = sys.argv[1:]
    stop_at = step, int(nth)
    stepping()
    controller.FIRST_COMPACTION = 0.0 if step == "compact" else 3600.0
    compaction._REMOVED_AT_ONCE = 3
    if "unheld" in more:
        Hold.taken = lambda self: True  # type: ignore[method-assign]
    ports = {"http_port": 0, "metrics_port": 0}
    broker = Broker(city.settings(Path(folder), batch=10, relay_batch=3, poll_seconds=1, **ports))
    if broker.settings.kafka_servers:
        on_kafka(broker)
    else:
        broker.__dict__["log"] = Stepping(broker.settings.log_path)
    stop = stop_on_signals()
    tell = lambda role, words: print(words, flush=True)  # noqa: E731
    run_roles([role_of(broker, name)], stop, broker.telemetry.emit, tell)
    broker.close()


if __name__ == "__main__":
    main()
