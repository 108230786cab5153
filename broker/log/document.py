"""A small JSON object in one position: read and changed as a whole.

Law: of several that change it at once each sees what the others did.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from broker.errors import PositionMoved
from broker.log.interface import Batch, Log, PositionWrite

_TRIES = 20


def read(log: Log, name: str) -> dict[str, Any]:
    """What stands there; nothing where nothing was written yet."""
    return _loaded(log.position(name))


def change(log: Log, name: str, how: Callable[[dict[str, Any]], None]) -> None:
    """Change it in place by `how`, which may be called again where somebody was first."""
    for _ in range(_TRIES - 1):
        with suppress(PositionMoved):
            _change(log, name, how)
            return
    _change(log, name, how)


def _change(log: Log, name: str, how: Callable[[dict[str, Any]], None]) -> None:
    before = log.position(name)
    found = _loaded(before)
    how(found)
    after = json.dumps(found, ensure_ascii=False, sort_keys=True).encode()
    if after != before:
        log.commit(Batch(positions=[PositionWrite(name, before, after)]))


def _loaded(stored: bytes | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stored) if stored else {}
    return found
