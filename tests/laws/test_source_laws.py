"""What is collected of a table is what stands in it, whatever happens to its rows and in
whatever pieces it is read; only a bad update leaves what was good before.
"""

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.bootstrap import Broker
from tests import city, recompute
from tests.faults.bad import NOW
from tests.mappings import EVERY_RUN, compare_residents

EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "70"))
FLOOR = 20
DATASET = "ga.resident_base"
TOPIC = f"collected.{DATASET}"
PEOPLE = 6
seen: Counter[str] = Counter()


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    wanted = (
        "put", "spoil", "rekey", "swap", "remove", "put back", "runs",
        "a bad update left the good one",
    )  # fmt: skip
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"


person = st.integers(0, PEOPLE - 1)
change = st.one_of(
    st.tuples(st.just("put"), person, person),
    st.tuples(st.just("put wrong"), person, person),
    st.tuples(st.just("spoil"), person, person),
    st.tuples(st.just("rekey"), person, st.integers(PEOPLE, 3 * PEOPLE)),
    st.tuples(st.just("swap"), person, person),
    st.tuples(st.just("remove"), person, person),
    st.tuples(st.just("put back"), person, person),
    st.tuples(st.just("run"), st.integers(1, 8), person),
)


@dataclass
class Table:
    """A county's table, row by row id: (person, name, whether the row is wrong)."""

    folder: Path
    rows: dict[int, tuple[int, str, bool]] = field(default_factory=dict)
    changed: int = 0

    def apply(self, what: str, row: int, whose: int) -> None:
        """One change, with a time of its own; a key has one row."""
        taken = {held[0]: number for number, held in self.rows.items() if number != row}
        self.changed += 1
        name = f"名{self.changed}"
        if what.startswith("put") and whose not in taken:
            self.rows[row] = (whose, name, what == "put wrong")
        elif what == "spoil" and row in self.rows:
            self.rows[row] = (self.rows[row][0], name, True)
        elif what == "rekey" and row in self.rows and whose not in taken:
            self.rows[row] = (whose, name, False)
        elif what == "swap" and row in self.rows and len(self.rows) > 1:
            others = [number for number in sorted(self.rows) if number != row]
            other = others[whose % len(others)]
            whose = self.rows[other][0]
            self.rows[other] = (self.rows[row][0], f"{name}甲", False)
            self.rows[row] = (whose, f"{name}乙", False)
            self._write(other)
        elif what == "remove" and row in self.rows:
            del self.rows[row]
        elif what == "put back" and whose not in taken:
            self.rows[row] = (whose, name, False)
        else:
            return
        seen["spoil" if what == "put wrong" else what] += 1
        self._write(row, older=what == "put back")

    def _write(self, row: int, older: bool = False) -> None:
        """`older`: as it was before anything was read, out of a copy."""
        minutes = timedelta(minutes=self.changed)
        later = (NOW - minutes if older else NOW + minutes).strftime("%Y-%m-%d %H:%M:%S")
        with sqlite3.connect(city.county(self.folder, "371502")) as db:
            db.execute("DELETE FROM t_rkxx WHERE bz = ?", (f"r{row}",))
            if row in self.rows:
                whose, name, wrong = self.rows[row]
                more = {"csrq": "20019931"} if wrong else {}
                at = {"xm": name, "bz": f"r{row}", "gxsj": later}
                city.add(db, city.resident(whose, NOW, **at, **more))


def prepare(folder: Path) -> Any:
    """Settings of a city whose residents are compared at each run."""
    return city.settings(folder, schemas=compare_residents(folder, EVERY_RUN))


def collected(broker: Broker) -> dict[str, str]:
    """Name by ID number, of what is collected and not deleted."""
    records = recompute.collected(broker, DATASET)
    return {record["id_no"]: record["name"] for record in records}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(change, min_size=10, max_size=20))
def test_a_table_that_is_compared_is_collected_as_it_stands(
    changes: list[tuple[str, int, int]],
) -> None:
    """After each run what is collected is what stands there."""
    good: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = prepare(folder)
        city.county(folder, "371502")
        table = Table(folder)
        for row in range(PEOPLE - 2):
            table.apply("put", row, row)
        broker = Broker(found)
        try:
            for what, one, two in [("run", 9, 0), *changes, ("run", 3, 0)]:
                if what != "run":
                    table.apply(what, one, two)
                    continue
                (report,) = broker.runner(DATASET, broker.mappings()).run(one)
                assert report.error is None
                wanted = {}
                for whose, said, wrong in table.rows.values():
                    number = city.resident(whose, NOW)["gmsfhm"]
                    if not wrong:
                        wanted[number] = said
                    elif number in good:
                        wanted[number] = good[number]
                        seen["a bad update left the good one"] += 1
                good = collected(broker)
                assert good == wanted
                seen["runs"] += 1
        finally:
            broker.close()
