"""Rows with ids: two of one key, keys that change, rows marked as deleted, wrong rows, replay.

Law: under a key stands the latest of the rows that have it, as it was when it was last right;
never one that was deleted or that has another key. What another row hid for a while is there
again once the source is read from the beginning.
"""

import os
import random
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from broker.bootstrap import Broker
from tests import city, recompute
from tests.faults.bad import NOW
from tests.mappings import RESIDENTS, change_mapping, give_row_ids

EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "50"))
FLOOR = 20
DATASET = "ga.resident_base"
TOPIC = f"collected.{DATASET}"
ROWS, PEOPLE = 4, 3
NUMBERS = {city.resident(n, NOW)["gmsfhm"]: n for n in range(PEOPLE)}
MAPPING = "ga_resident_base"
seen: Counter[str] = Counter()


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    wanted = (
        "two rows have a key", "another key", "swap", "deleted", "spoilt", "runs", "read again",
        "a double row was deleted", "a wrong row was replayed", "overtaken",
        "a bad update left the good one", "hidden and back",
    )  # fmt: skip
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"


@dataclass(frozen=True)
class Version:
    """A row at one time: whose it is, its name, when it was changed; wrong, or deleted."""

    whose: int
    name: str
    at: int
    wrong: bool = False
    deleted: bool = False


@dataclass
class Table:
    """What stands in the table by row id, and what was right when it was last read."""

    folder: Path
    rows: dict[int, Version] = field(default_factory=dict)
    right: dict[int, Version] = field(default_factory=dict)
    hidden: set[Version] = field(default_factory=set)

    def change(self, row: int, now: Version) -> None:
        before = self.rows.get(row)
        there = [one for n, one in self.rows.items() if n != row and not one.deleted]
        double = any(one.whose == now.whose for one in there)
        seen["two rows have a key"] += double and not now.deleted
        seen["a double row was deleted"] += double and now.deleted
        seen["another key"] += before is not None and before.whose != now.whose
        seen["deleted"] += now.deleted
        seen["spoilt"] += now.wrong and before is not None
        self.rows[row] = now
        at = (NOW + timedelta(minutes=now.at)).strftime("%Y-%m-%d %H:%M:%S")
        with sqlite3.connect(city.county(self.folder, "371502")) as db:
            db.execute("DELETE FROM t_rkxx WHERE bz = ?", (f"r{row}",))
            more = {"xb": "男" if now.wrong else "1", "zxbz": str(int(now.deleted))}
            city.add(db, city.resident(now.whose, NOW, xm=now.name, bz=f"r{row}", gxsj=at, **more))

    def wanted(self, got: dict[int, str], mended: bool) -> dict[int, Version]:
        """The version that is to stand under each key, given what stood there before."""
        by_key: dict[int, list[Version]] = defaultdict(list)
        for row, now in self.rows.items():
            if now.wrong and not now.deleted and not mended:
                last = self.right.get(row)
                if last is not None and got.get(last.whose) == last.name:
                    seen["a bad update left the good one"] += 1
                    by_key[last.whose].append(last)
            elif not now.deleted:
                by_key[now.whose].append(now)
        return {key: max(some, key=lambda one: one.at) for key, some in by_key.items()}

    def was_read(self, wanted: dict[int, Version], mended: bool) -> None:
        self.right |= {
            row: now for row, now in self.rows.items() if mended or not now.wrong or now.deleted
        }
        stands = set(wanted.values())
        self.hidden = {now for now in self.rows.values() if now not in stands}


def collected(broker: Broker) -> dict[int, str]:
    records = recompute.collected(broker, DATASET)
    return {NUMBERS[record["id_no"]]: record["name"] for record in records}


ONE = (
    "put", "put", "wrong", "wrong where it is", "swap", "delete", "delete where it is", "run",
)  # fmt: skip
SCENES = (
    (("put", 0, 0), ("put", 1, 0), ("run", 3, 0), ("delete where it is", 1, 0), ("again", 3, 0)),
    (("put", 0, 0), ("put", 1, 0), ("run", 2, 0), ("put", 1, 1), ("again", 2, 0)),
    (("wrong", 0, 0), ("run", 3, 0), ("put", 1, 0), ("run", 1, 0)),
    (("put", 0, 0), ("put", 1, 1), ("run", 1, 0), ("swap", 0, 1), ("run", 1, 0)),
)
"""What seldom comes about by chance; rows and people are changed about."""


def a_while(chance: random.Random) -> list[tuple[str, int, int]]:
    """Changes and runs: (what, row or batch size, person or other row)."""
    steps: list[tuple[str, int, int]] = []
    while len(steps) < 25:
        rows, people = chance.sample(range(ROWS), ROWS), chance.sample(range(PEOPLE), PEOPLE)
        if chance.random() < 0.3:
            steps += (
                (what, one if what in ("run", "again") else rows[one],
                 rows[two] if what == "swap" else people[two])
                for what, one, two in chance.choice(SCENES)
            )  # fmt: skip
        else:
            what = chance.choice(ONE)
            batch = chance.randint(1, 6)
            steps.append((what, batch if what == "run" else rows[0], rows[1] % PEOPLE))
    ends = (
        ("wrong", 0, 0),
        ("wrong", 1, 1),
        ("run", 3, 0),
        (chance.choice(ONE[:-1]), 0, 1),
        ("run", 3, 0),
    )
    return [*steps, *((what, one, two) for what, one, two in ends)]


@settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_under_a_key_stands_the_latest_row_that_has_it(seed: int) -> None:
    steps = a_while(random.Random(seed))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        city.use_mapping(folder)
        give_row_ids(folder)
        city.county(folder, "371502")
        table = Table(folder)
        with city.city(folder) as broker:
            for at, (what, one, whose) in enumerate([*steps, ("again", 3, 0)]):
                if what in ("run", "again"):
                    read(broker, table, one)
                    if what == "again":
                        read(broker, table, one, again=True)
                elif what == "swap":
                    if one != whose and {one, whose} <= table.rows.keys():
                        seen["swap"] += 1
                        keys = table.rows[one].whose, table.rows[whose].whose
                        table.change(one, Version(keys[1], f"名{at}甲", at * 2))
                        table.change(whose, Version(keys[0], f"名{at}乙", at * 2 + 1))
                elif what == "put" or one in table.rows:
                    whose = table.rows[one].whose if "where" in what else whose
                    gone, wrong = what.startswith("delete"), what.startswith("wrong")
                    table.change(one, Version(whose, f"名{at}", at * 2, wrong, gone))
            change_mapping(folder, RESIDENTS, ('"1": "1"', '"男": "1", "1": "1"'))
            for report in broker.replay(DATASET).run():
                seen["a wrong row was replayed"] += report.collected
                seen["overtaken"] += report.overtaken
            there = {(one.whose, one.name) for one in (*table.rows.values(), *table.hidden)}
            assert set(collected(broker).items()) <= there, "somebody came back"
            read(broker, table, 3, mended=True)
            read(broker, table, 3, again=True, mended=True)


def read(
    broker: Broker, table: Table, limit: int, again: bool = False, mended: bool = False
) -> None:
    """Run, and compare what stands there with what should."""
    before = collected(broker)
    (report,) = broker.runner(DATASET, broker.mappings()).run(limit, again=again)
    assert report.error is None
    wanted, got = table.wanted(before, mended), collected(broker)
    names = {key: version.name for key, version in wanted.items()}
    gone = {key: names[key] for key in names.keys() - got.keys()}
    for key in gone:  # another row hid it, which left; nobody has read it since
        assert not again and wanted[key] in table.hidden
    assert got == {key: name for key, name in names.items() if key not in gone}
    back = [one for one in wanted.values() if one in table.hidden and got.get(one.whose)]
    seen["hidden and back"] += sum(before.get(one.whose) != one.name for one in back)
    seen["runs" if not again else "read again"] += 1
    table.was_read({key: wanted[key] for key in got}, mended)
