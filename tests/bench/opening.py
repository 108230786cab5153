"""A share opens on a log that has been there for long, beside another that is live.

What is measured is what the readers of the live one notice: the delays of changes that are due by
a timetable (see `timetable`), before the other share begins to open and until it is live as well.
"""

import time
from functools import partial
from typing import Any

from tests import city
from tests.bench.delay import subject
from tests.bench.roles import until
from tests.bench.subject import DATASET
from tests.bench.timetable import Reader, Timetable, is_live, told

_PEOPLE = 400_000
_A_SECOND = 1_000
_BEFORE = 10.0
_PATIENCE = 400.0


def opening() -> dict[str, Any]:
    """Records on the log, how long the share took to open, and the delays of the other."""
    with subject(_PEOPLE) as (broker, sealed, share):
        reader, loader = Reader(broker, share), Timetable(sealed, _A_SECOND)
        reader.start()
        loader.start()
        time.sleep(_BEFORE)
        began = time.monotonic()
        asked = city.grant(broker, "late", "sex status", dataset=DATASET, department="mz")
        if asked.share is None:
            raise RuntimeError("the grant was refused")
        took = until(partial(is_live, broker, asked.share.id), _PATIENCE)
        over = time.monotonic()
        loader.end()
        reader.end()
        found = list(reader.delays(sealed, loader.due))
        return {
            "records": _PEOPLE,
            "seconds_to_open": round(took, 1),
            **loader.told(),
            "before": told([one for due, one in found if due < began]),
            "during": told([one for due, one in found if began <= due < over]),
        }
