"""`reconcile`: what is missing, superfluous or differing in a share, by position."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from broker.log.interface import Append, Batch
from broker.registry import unframe
from broker.relay.reconcile import DIFFERING, MISSING, SUPERFLUOUS
from tests import city

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"


def people(folder: Path, count: int, **changes: str) -> None:
    city.use_mapping(folder)
    rows = (city.resident(n, NOW, **changes) for n in range(count))
    city.put(city.county(folder, "371502"), *rows)


def test_what_is_wrong_in_a_share_is_found_by_position(tmp_path: Path) -> None:
    people(tmp_path, 30)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        share, dataset = one.share, broker.catalog.dataset(DATASET)
        assert share
        found = broker.reconciler.compare(dataset, share)
        assert found.exact and found.compared == 30 and found.opening == found.moving == 0
        first, second = broker.log.read(share.topic, 0, 0, 2)
        assert first.value and second.value
        other = first.value[:5] + unframe(second.value)[1]
        broker.log.commit(
            Batch(
                [
                    Append(share.topic, 0, first.key, other),
                    Append(share.topic, 0, second.key, None),
                    Append(share.topic, 1, b"a key of nobody", first.value),
                ]
            )
        )
        found = broker.reconciler.compare(dataset, share)
        assert sorted(one.kind for one in found.differences) == [DIFFERING, MISSING, SUPERFLUOUS]
        places = {one.kind: (one.partition, one.offset) for one in found.differences}
        assert places[SUPERFLUOUS] == (1, broker.log.end(share.topic, 1) - 1)
        assert places[MISSING][0] == places[DIFFERING][0] == 0
        assert "张试" not in repr(found)


def test_a_share_that_is_opening_is_said_to_be(tmp_path: Path) -> None:
    people(tmp_path, 5)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        broker.life.provision()
        assert one.share
        found = broker.reconciler.compare(broker.catalog.dataset(DATASET), one.share)
        assert (found.compared, found.opening, found.exact) == (0, 4, True)


def test_a_relay_at_work_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people(tmp_path, 40)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert one.share
        reconciler, held = broker.reconciler, broker.reconciler._held
        turns = iter(range(1, 4))

        def moving(*words: object) -> object:
            turn = next(turns, 0)
            if turn:
                later = (NOW + timedelta(minutes=turn)).strftime("%Y-%m-%d %H:%M:%S")
                changed = [city.resident(n, NOW, xm=f"改{turn}", gxsj=later) for n in range(20)]
                city.put(city.county(tmp_path, "371502"), *changed)
                city.collect(broker)
                city.relay(broker)
            return held(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(reconciler, "_held", moving)
        found = reconciler.compare(broker.catalog.dataset(DATASET), one.share)
        assert found.exact and found.moving == 0 and next(turns, 0) == 0
