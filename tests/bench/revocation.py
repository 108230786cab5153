"""From a revocation to the last record that its consumer gets, while it streams.

The time runs from before the call that revokes until the last piece with a record is in
the consumer's hands.
"""

import itertools
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.sharing.share import CLOSED, Share
from tests import city
from tests.bench.measure import spread
from tests.bench.readers import reading
from tests.bench.roles import running, until
from tests.bench.towns import DATASET, enlarge, filled, live

CONSUMERS = 50
PROMISED = 2.0
_SNAPSHOT = f"/v1/datasets/{DATASET}/snapshot"
_PAUSE = 0.1
_ITEMS = "name sex birth_date division_code status"
_PATIENCE = 120.0


def revocation(rows: int = 1_000_000) -> dict[str, Any]:
    """Consumers with equal grants on one large share; then ten shares of their own."""
    return {"one_share": of_one_share(rows), "closings": closings()}


def of_one_share(rows: int) -> dict[str, Any]:
    """Each consumer is revoked while it streams the snapshot in a loop."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        filled(Path(name), broker, 1_000)
        names = [f"c{number}" for number in range(CONSUMERS)]
        shares = [live(broker, consumer) for consumer in names]
        enlarge(broker, shares[0], rows)
        return {"rows": rows, **_revoked(broker, Path(name), names, shares)}


def closings(rows: int = 1_000) -> dict[str, Any]:
    """Ten shares with one consumer each: revoked while it streams, the share closes."""
    with tempfile.TemporaryDirectory() as name, city.city(Path(name)) as broker:
        filled(Path(name), broker, rows)
        items = itertools.combinations(_ITEMS.split(), 2)
        asked = {f"c{number}": " ".join(pair) for number, pair in enumerate(items)}
        shares = [live(broker, consumer, one) for consumer, one in asked.items()]
        return {"rows": rows, **_revoked(broker, Path(name), list(asked), shares)}


def _revoked(broker: Broker, folder: Path, names: list[str], shares: list[Share]) -> dict[str, Any]:
    """Revoke the consumers one after the other; what each had after that."""
    keys = [broker.api_keys.add(consumer) for consumer in names]
    grants = {one.grant.consumer.id: one.grant.id for one in broker.sharing.grants()}
    began: list[float] = []
    done: list[float] = []
    closed: dict[str, float] = {}
    with (
        running(folder, "serve", "controller") as roles,
        reading(roles["serve"].url, _SNAPSHOT, keys) as readers,
    ):
        readers.all_read()
        watching = threading.Thread(target=_closed, args=(broker, shares, closed))
        watching.start()
        for consumer in names:
            began.append(time.monotonic())
            broker.sharing.revoke(grants[consumer], "r")
            done.append(time.monotonic())
            time.sleep(_PAUSE)
        found = readers.ended()
        watching.join()
    ends = {share.id: at for share, at in zip(shares, done, strict=True)}
    delays = [max(0.0, one["last"] - at) for one, at in zip(found, began, strict=True)]
    return {
        "shares": len({share.id for share in shares}),
        "to_last_record": spread(delays),
        "records_later_than_2_s": sum(delay > PROMISED for delay in delays),
        "refused_afterwards": sum("status" in one for one in found),
        "revoking_itself": spread([b - a for a, b in zip(began, done, strict=True)]),
        "to_closed": spread([closed[name] - at for name, at in ends.items() if name in closed]),
    }


def _closed(broker: Broker, shares: list[Share], closed: dict[str, float]) -> None:
    """Note when each share is closed: its topic wiped, its key destroyed."""
    names = {share.id for share in shares}

    def all_closed() -> bool:
        for name in names - closed.keys():
            if broker.sharing.share(name).state == CLOSED:
                closed[name] = time.monotonic()
        return len(closed) == len(names)

    with suppress(TimeoutError):
        until(all_closed, _PATIENCE)
