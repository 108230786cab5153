"""Who waits for the log hears of commits again once it can be read again."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from broker.errors import LogError
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Batch, PositionWrite
from broker.log.watch import Watch
from broker.web import pulse as pulse_module
from broker.web.pulse import Pulse


@pytest.mark.parametrize("error", [LogError("away"), OSError(5, "away")])
def test_the_log_is_watched_again_after_a_look_that_failed(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda found: None)
    state = [0]
    failed = threading.Event()

    def look() -> int:
        if threading.current_thread().name == "log-watch" and not failed.is_set():
            failed.set()
            raise error
        return state[0]

    watch = Watch(look)
    watch.wait(watch.changes(), 0.3)
    assert failed.is_set()
    seen = watch.changes()

    def commit() -> None:
        state[0] += 1

    another = threading.Timer(0.2, commit)
    another.start()
    assert watch.wait(seen, 5) != seen, "nobody looks any more"
    assert not another.is_alive()
    watch.close()


@pytest.mark.parametrize("error", [LogError("away"), OSError(5, "away")])
def test_who_waits_is_woken_after_the_log_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(pulse_module, "_LOOK", 0.05)
    monkeypatch.setattr(threading, "excepthook", lambda found: None)
    log, other = EmbeddedLog(tmp_path / "log.db"), EmbeddedLog(tmp_path / "log.db")
    away, failed = threading.Event(), threading.Event()
    wait = log.wait

    def sometimes(*words: Any) -> int:
        if away.is_set():
            failed.set()
            raise error
        return wait(*words)

    monkeypatch.setattr(log, "wait", sometimes)

    async def waits() -> None:
        pulse, stop = Pulse(log), threading.Event()
        beating = threading.Thread(target=pulse.run, args=(stop,))
        beating.start()
        try:
            for name in ("before", "after"):
                await asyncio.sleep(0.3)  # every beat of what was before has come
                before = pulse.number
                other.commit(Batch(positions=[PositionWrite(name, None, b"x")]))
                await beaten(pulse, before)
                away.set()
                assert await asyncio.to_thread(failed.wait, 5)
                away.clear()
        finally:
            stop.set()
            await asyncio.to_thread(beating.join)

    asyncio.run(waits())
    log.close()
    other.close()


async def beaten(pulse: Pulse, before: int) -> None:
    """Return when there was another beat."""
    for _ in range(100):
        await pulse.wait(0.05)
        if pulse.number != before:
            return
    raise AssertionError("nobody is woken")
