"""The day in the sample departments: how much of what, to whom, and the same again."""

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from broker.divisions import load_divisions
from connectors.samples import mappings
from connectors.samples.build import build
from connectors.samples.day import CHANGED, DELETED, MOVED, NEW, RATES, Day, Happening
from connectors.samples.population import ADULT, Population
from tests import city

DIVISIONS = load_divisions(city.ROOT / "schemas" / "divisions.csv")
AS_OF = date(2026, 6, 1)
NOON = datetime(2026, 6, 1, 12)
PEOPLE = 300


def sources(folder: Path, people: int = PEOPLE, as_of: date = AS_OF) -> Path:
    build(folder, people=people, seed=1, as_of=as_of, divisions=DIVISIONS)
    return folder


def day(folder: Path, seed: int = 1, people: int = PEOPLE, as_of: date = AS_OF) -> Day:
    return Day(folder, Population(people, 1, as_of, DIVISIONS), seed)


def played(one: Day, times: int, start: datetime = NOON) -> list[Happening]:
    return [one.next(start + timedelta(seconds=2 * turn)) for turn in range(times)]


def test_each_kind_happens_as_often_as_it_says(tmp_path: Path) -> None:
    found = Counter(one.kind for one in played(day(sources(tmp_path / "s")), 600))
    assert set(found) == {NEW, CHANGED, MOVED, DELETED} == set(RATES)
    for kind, rate in RATES.items():
        assert abs(found[kind] / 600 - rate) < 0.06, found


def test_every_dataset_has_its_changes(tmp_path: Path) -> None:
    found = {one.dataset for one in played(day(sources(tmp_path / "s")), 300)}
    assert len(found) == 6


def test_the_same_seed_plays_the_same_day_and_another_another(tmp_path: Path) -> None:
    one, same, other = (
        played(day(sources(tmp_path / name), seed), 80)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == same != other
    for path in (tmp_path / "a").rglob("*.csv"):
        twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == twin.read_bytes()


def test_what_happens_is_collected_and_nothing_of_it_is_wrong(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        today = broker.today
        folder = sources(broker.settings.sources_path, as_of=today)
        city.use_mapping(tmp_path, *(one.stem for one in _mappings()))
        names = sorted({one.dataset for one in broker.mappings()})
        one = day(folder, as_of=today)  # makes what tables a county lacks
        for name in names:
            city.collect(broker, name, limit=2_000)
        start = datetime.now(broker.settings.zone).replace(tzinfo=None) - timedelta(minutes=20)
        happened = played(one, 200, start)
        counts: Counter[str] = Counter()
        for name in names:
            for report in city.collect(broker, name, limit=2_000):
                assert report.error is None
                counts["wrong"] += report.counts.quarantined
                counts["deleted"] += report.counts.deleted
                counts["appended"] += report.counts.appended
        assert counts["wrong"] == 0
        kinds = Counter(one.kind for one in happened)
        assert counts["appended"] >= kinds[NEW]
        assert counts["deleted"] >= kinds[DELETED] // 2


def test_the_adult_moves_to_and_fro_and_is_left_alone_by_the_day(tmp_path: Path) -> None:
    one = day(sources(tmp_path / "s"))
    assert one.home(ADULT) == "371502" == one.village(ADULT)[:6]
    assert one.move(ADULT, "371522", NOON) == Happening(
        MOVED, "ga.resident_base", "371522", "371502"
    )
    assert one.home(ADULT) == "371522"
    assert one.move(ADULT, "371522", NOON) is None
    played(one, 200)
    assert one.home(ADULT) == "371522"
    assert one.move(ADULT, "371502", NOON + timedelta(hours=1)) is not None
    assert one.home(ADULT) == "371502"


@pytest.mark.parametrize("people", [2, 3])
def test_where_hardly_anybody_lives_somebody_comes(tmp_path: Path, people: int) -> None:
    one = day(sources(tmp_path / "s", people), people=people)
    assert NEW in {each.kind for each in played(one, 20)}


def _mappings() -> list[Path]:
    return sorted(Path(next(iter(mappings.__path__))).glob("*.yaml"))
