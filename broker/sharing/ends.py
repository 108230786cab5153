"""A copy, on this machine, of who may read which topic until when.

Law: a right can be taken by it while the store is away; none is ever given by it.
"""

import json
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

from broker.errors import SettingsError
from broker.private_file import open_private
from broker.sharing.audiences import Audience


class End(NamedTuple):
    """That a grant lets its consumer read a shared topic up to that day."""

    grant: str
    consumer: str
    topic: str
    until: date


class Ends:
    """The copy, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, audiences: Iterable[Audience]) -> None:
        """Replace it by what holds today."""
        found = [
            [grant.id, grant.consumer.id, one.share.topic, grant.valid_until.isoformat()]
            for one in audiences
            for grant in one.grants
        ]
        fresh = self._path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_TRUNC
        handle = open_private(fresh, flags, SettingsError, "the file of the end dates")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
        os.replace(fresh, self._path)

    def known(self) -> list[End]:
        """What was kept last; nothing before that."""
        if not self._path.exists():
            return []
        kept = json.loads(self._path.read_text("utf-8"))
        return [
            End(grant, consumer, topic, date.fromisoformat(until))
            for grant, consumer, topic, until in kept
        ]
