"""`migrate embedded-to-kafka` in a process of its own that kills itself: after each transaction
that landed, once inside one, and once after each step on the shares.

What it did once it does not do again: the file `killed` in the state folder remembers.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.cli.main import main
from broker.log.kafka.librdkafka.writing import Writing
from broker.sharing.service import Sharing

ONCE = ("inside", "retired", "closed")


def killed(folder: Path) -> list[str]:
    """What it was killed by so far."""
    path = folder / "killed"
    return path.read_text("utf-8").split() if path.exists() else []


def _die(name: str) -> None:
    folder = Path(os.environ["SHUQIAO_STATE"])
    if name in ONCE and name in killed(folder):
        return
    with (folder / "killed").open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def _after(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    def called(*given: Any) -> Any:
        done = call(*given)
        _die(name)
        return done

    return called


def _committing(writer: Any) -> None:
    if len(killed(Path(os.environ["SHUQIAO_STATE"]))) == 2:
        writer._producer.flush(5)
        _die("inside")
    _commit(writer)
    _die("landed")


_commit = Writing._commit

if __name__ == "__main__":
    Writing._commit = _committing  # type: ignore[method-assign]
    Sharing.retire = _after(Sharing.retire, "retired")  # type: ignore[method-assign]
    Broker.retire_shares = _after(Broker.retire_shares, "closed")  # type: ignore[method-assign]
    sys.argv[1:] = ["--json", "migrate", "embedded-to-kafka"]
    main()
