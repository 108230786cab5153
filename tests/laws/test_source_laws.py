"""What is collected of a table is what stands in it, whatever happens to its rows and in
whatever pieces it is read; only a bad update leaves what was good before.
"""

import json
import os
import shutil
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
from broker.projection.avro import Codec
from tests import city, recompute
from tests.faults.bad import NOW

EXAMPLES = int(os.environ.get("SHUQIAO_EXAMPLES", "50"))
FLOOR = 20
DATASET = "ga.resident_base"
TOPIC = f"collected.{DATASET}"
PEOPLE = 6
seen: Counter[str] = Counter()


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    wanted = (
        "put compared", "spoil compared", "rekey compared", "remove compared",
        "put row ids", "spoil row ids", "rekey row ids", "swap row ids", "runs",
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
    st.tuples(st.just("run"), st.integers(1, 8), person),
)


@dataclass
class Table:
    """A county's table, row by row id: (person, name, whether the row is wrong)."""

    folder: Path
    compares: bool
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
            if self.compares:
                del self.rows[row]
            else:
                return  # nobody would see it
        else:
            return
        what = "spoil" if what == "put wrong" else what
        seen[f"{what} {'compared' if self.compares else 'row ids'}"] += 1
        self._write(row)

    def _write(self, row: int) -> None:
        later = (NOW + timedelta(minutes=self.changed)).strftime("%Y-%m-%d %H:%M:%S")
        with sqlite3.connect(city.county(self.folder, "371502")) as db:
            db.execute("DELETE FROM t_rkxx WHERE bz = ?", (f"r{row}",))
            if row in self.rows:
                whose, name, wrong = self.rows[row]
                more = {"csrq": "20019931"} if wrong else {}
                at = {"xm": name, "bz": f"r{row}", "gxsj": later}
                city.add(db, city.resident(whose, NOW, **at, **more))


def prepare(folder: Path, compares: bool) -> Any:
    """Settings of a city whose residents are compared at each run, or have row ids."""
    city.use_mapping(folder)
    mapping = folder / "mappings" / "ga_resident_base.yaml"
    text = mapping.read_text("utf-8")
    if not compares:
        text = text.replace("  cursor: gxsj", "  cursor: gxsj\n  row_id: bz")
        mapping.write_text(text.replace("ignore: [bz]", "ignore: []"), "utf-8")
        return city.settings(folder)
    shutil.copytree(city.ROOT / "schemas", folder / "schemas")
    schema = folder / "schemas" / "ga" / "resident_base.avsc"
    content = json.loads(schema.read_text("utf-8")) | {"deletes": "key_diff"}
    schema.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    text = text.replace("deletes: soft_delete", "deletes: key_diff")
    text = text.replace('soft_delete: {column: zxbz, values: ["1"]}\n', "")
    text = text.replace("ignore: [bz]", "ignore: [bz, zxbz]")
    text = text.replace("  cursor: gxsj", "  cursor: gxsj\n  compare_hours: 0.0000000001")
    mapping.write_text(text, "utf-8")
    return city.settings(folder, schemas=folder / "schemas")


def collected(broker: Broker) -> dict[str, str]:
    """Name by ID number, of what is collected and not deleted."""
    codec = Codec(broker.catalog.dataset(DATASET).schema)
    records = [
        codec.decode(broker.sealer.open(TOPIC, key, sealed).body)
        for key, sealed in recompute.newest(broker, TOPIC).items()
    ]
    return {record["id_no"]: record["name"] for record in records}


def follow(compares: bool, changes: list[tuple[str, int, int]]) -> None:
    """Play the changes; after each run what is collected is what stands there."""
    good: dict[str, str] = {}
    by: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = prepare(folder, compares)
        city.county(folder, "371502")
        table = Table(folder, compares)
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
                for row, (whose, said, wrong) in table.rows.items():
                    number = city.resident(whose, NOW)["gmsfhm"]
                    if not wrong:
                        wanted[number], by[number] = said, row
                    elif number in good and (compares or by[number] == row):
                        wanted[number] = good[number]
                        seen["a bad update left the good one"] += 1
                got = collected(broker)
                if not compares:  # a row that is wrong now may have had another key before
                    stale = {n: s for n, s in got.items() if n not in wanted}
                    assert all(good.get(n) == s for n, s in stale.items())
                    wrong_now = sum(wrong for _, _, wrong in table.rows.values())
                    assert len(stale) <= wrong_now
                    got = {n: s for n, s in got.items() if n in wanted}
                assert got == wanted
                seen["runs"] += 1
                good = collected(broker)
        finally:
            broker.close()


common = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@common
@given(changes=st.lists(change, min_size=10, max_size=20))
def test_a_table_that_is_compared_is_collected_as_it_stands(
    changes: list[tuple[str, int, int]],
) -> None:
    follow(True, changes)


@common
@given(changes=st.lists(change, min_size=10, max_size=20))
def test_rows_with_ids_leave_nothing_under_an_old_key(
    changes: list[tuple[str, int, int]],
) -> None:
    follow(False, changes)
