"""Where a source stands now: what was noted of it, and what has come of that since.

Law: the state is honest. `idle` and `running` are said only of what was heard of lately;
a source that no mapping gives any more has failed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from broker.errors import SourceError
from broker.log.interface import Log
from broker.model import Dataset
from broker.seal import Sealer
from connectors.held import PAUSED, Held
from connectors.runner import committed_position, position_name
from connectors.source import Source
from connectors.status import FAILED, Status, Statuses

STALLED, NEW = "stalled", "new"


@dataclass(frozen=True, slots=True)
class Standing:
    """State, why, what was noted, and the rows that wait; None where they cannot be counted."""

    source: str
    state: str
    reason: str
    status: Status
    behind: int | None


class Standings:
    """The standing of every source of one dataset. `patience` is how long a source may be
    silent; `zone` is the city's."""

    def __init__(
        self, dataset: Dataset, log: Log, sealer: Sealer, patience: timedelta, zone: tzinfo
    ) -> None:
        self._dataset = dataset
        self._log = log
        self._sealer = sealer
        self._patience = patience
        self._zone = zone

    def all(self, sources: dict[str, Source]) -> list[Standing]:
        """Of the sources that the mappings give, and of those that were there once."""
        noted = dict(Statuses(self._dataset.id, self._log, self._sealer).all())
        held = Held(self._dataset.id, self._log)
        found = []
        for name in sorted({*noted, *sources}):
            status = noted.get(name)
            state, reason = standing(
                status, held.why(name), name in sources, datetime.now(self._zone), self._patience
            )
            behind = self._behind(sources[name]) if name in sources else None
            found.append(Standing(name, state, reason, status or Status(NEW), behind))
        return found

    def _behind(self, source: Source) -> int | None:
        name = position_name(self._dataset, source.name)
        _, after = committed_position(name, self._log, self._sealer)
        try:
            return source.behind(after)
        except SourceError:
            return None


def standing(
    status: Status | None, held: str, there: bool, now: datetime, patience: timedelta
) -> tuple[str, str]:
    """(state, why) of a source. `now` is in the zone in which times are told."""
    if held == PAUSED:
        return PAUSED, "`shuqiao connect resume` reads it again"
    if not there:
        return FAILED, "the source has disappeared"
    if status is None:
        return NEW, "it was never read"
    last = datetime.fromisoformat(status.last_run).astimezone(now.tzinfo)
    if status.state != FAILED and now - last > patience:
        return STALLED, f"nothing was heard of it since {last.isoformat()}: does anybody read it?"
    return status.state, status.error
