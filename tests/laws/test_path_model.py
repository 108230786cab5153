"""The path against a model: whatever happens at the sources, every share equals what
deciding and masking the sources' true rows anew would give.
"""

import random
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.bootstrap import Broker
from broker.policy.rows import admits
from broker.projection.avro import Codec
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms
from broker.sharing.service import Outcome
from tests import city

FLOOR = 20
BAD = "19900230"
COUNTIES = ("371502", "371503", "371521")
seen: Counter[str] = Counter()


class Model:
    """The counties' tables as dictionaries, and what design says they come to.

    `here` is where each living resident's newest row is; `entries` is what has been
    collected: owner, time, and the row (None: deleted) by ID number.
    """

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.draw = draw
        self.now = datetime.now() - timedelta(days=2)
        self.files = {code: city.county(folder, code) for code in COUNTIES}
        self.tables: dict[str, dict[str, dict[str, str]]] = {code: {} for code in COUNTIES}
        self.here: dict[str, str] = {}
        self.entries: dict[str, tuple[str, str, dict[str, str] | None]] = {}
        self.made = 0

    def collected(self) -> None:
        """The sources have been read, county by county."""
        for county in COUNTIES:
            for number, row in self.tables[county].items():
                owner, time, _ = self.entries.get(number, (county, "", None))
                deleted = row["zxbz"] == "1"
                if (row["csrq"] == BAD and not deleted) or (number not in self.entries and deleted):
                    continue
                if owner != county and (deleted or row["gxsj"] <= time):
                    continue
                self.entries[number] = county, row["gxsj"], None if deleted else row

    def live(self) -> list[dict[str, str]]:
        """The rows that are collected and not deleted."""
        return [row for _, _, row in self.entries.values() if row is not None]

    def tick(self) -> str:
        self.now += timedelta(seconds=self.draw.choice([0, 1, 1, 40]))
        return self.now.strftime("%Y-%m-%d %H:%M:%S")

    def step(self) -> None:
        kinds = ["insert"] * 4 + [
            "change",
            "move",
            "leave",
            "delete",
            "spoil",
            "young",
            "claim",
        ] * 2
        getattr(self, self.draw.choice(kinds) if self.here else "insert")()

    def _some(self) -> tuple[str, dict[str, str]]:
        number = self.draw.choice(sorted(self.here))
        return self.here[number], self.tables[self.here[number]][number]

    def _write(self, county: str, row: dict[str, str]) -> None:
        city.put(self.files[county], row)
        self.tables[county][row["gmsfhm"]] = row
        self.here[row["gmsfhm"]] = county

    def insert(self) -> None:
        self.made += 1
        row = city.resident(
            self.made, self.now, gxsj=self.tick(), xb=self.draw.choice("12"),
            xzqh=self.draw.choice(city.TOWNS),
        )  # fmt: skip
        self._write(self.draw.choice(COUNTIES), row)
        seen["insert"] += 1

    def young(self) -> None:
        self.made += 1
        born = date(date.today().year - self.draw.choice([13, 14, 15]), 12, 31)
        row = city.resident(
            self.made, self.now, gxsj=self.tick(), csrq=f"{born:%Y%m%d}",
            gmsfhm=city.id_number(self.made, born),
        )  # fmt: skip
        self._write(self.draw.choice(COUNTIES), row)
        seen["young"] += 1

    def change(self) -> None:
        county, row = self._some()
        name = f"李改{self.draw.randrange(99)}"
        self._write(
            county, {**row, "csrq": row["gmsfhm"][6:14], "xm": name, "gxsj": self._later(row)}
        )
        seen["change"] += 1

    def move(self) -> None:
        """To another town: scopes are entered and left."""
        county, row = self._some()
        place = self.draw.choice([town for town in city.TOWNS if town != row["xzqh"]])
        self._write(county, {**row, "xzqh": place, "gxsj": self._later(row)})
        seen["move"] += 1

    def leave(self) -> None:
        """To another county's database: the key changes its owner."""
        county, row = self._some()
        other = self.draw.choice([code for code in COUNTIES if code != county])
        self._write(
            other, {**row, "hjdz": "迁入", "csrq": row["gmsfhm"][6:14], "gxsj": self._later(row)}
        )
        seen["owner changed"] += 1

    def claim(self) -> None:
        """Another county has the same person at the same moment: it does not get the key."""
        county, row = self._some()
        other = self.draw.choice([code for code in COUNTIES if code != county])
        twin = {**row, "hjdz": "同时", "csrq": row["gmsfhm"][6:14]}
        if row["gmsfhm"] in self.tables[other] or row["gmsfhm"] not in self.entries:
            return
        city.put(self.files[other], twin)
        self.tables[other][row["gmsfhm"]] = twin
        seen["equal time elsewhere"] += 1

    def delete(self) -> None:
        county, row = self._some()
        self._write(county, {**row, "zxbz": "1", "gxsj": self._later(row)})
        del self.here[row["gmsfhm"]]
        seen["delete"] += 1

    def spoil(self) -> None:
        """A bad update: the last good version stays."""
        county, row = self._some()
        self._write(county, {**row, "csrq": BAD, "gxsj": self._later(row)})
        seen["bad update"] += 1

    def _later(self, row: dict[str, str]) -> str:
        """A time of change after the row's own."""
        own = datetime.strptime(row["gxsj"], "%Y-%m-%d %H:%M:%S")
        self.now = max(self.now, own + timedelta(seconds=1))
        return self.tick()


def expected(broker: Broker, model: Model, outcome: Outcome) -> list[dict[str, Any]]:
    dataset = broker.catalog.dataset("ga.resident_base")
    converter = broker.converter(broker.mappings()[0])
    share = outcome.share
    assert share is not None
    decision = broker.sharing.decision(outcome.grant.id)
    domain = Pseudonyms(broker.keyring.key(f"pseudonym.{share.domain}")) if share.domain else None
    projection = Projection(dataset, decision.released, domain, broker.divisions)
    codec = Codec(share.schema)
    found = []
    for row in model.live():
        record = converter.record(row)
        assert isinstance(record, dict)
        if decision.rows.scope.holds(record["division_code"]) and admits(
            decision.rows, record, broker.today.year
        ):
            found.append(codec.decode(projection.project(record)))
    return found


def ordered(records: Any) -> list[str]:
    return sorted(repr(sorted(record.items())) for record in records)


@pytest.mark.parametrize("seed", range(8))
def test_every_share_equals_the_recomputation(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    model = Model(tmp_path, draw)
    city.use_mapping(tmp_path)
    with city.city(tmp_path, relay_batch=5) as broker:
        granted = [
            city.grant(broker, "county", "id_no name division_code", scope="371502"),
            city.grant(broker, "town", "name sex birth_date", scope="371502001"),
            city.grant(broker, "women", "name sex", filter="{eq: {sex: '2'}}"),
        ]
        for turn in range(14):
            for _ in range(draw.randrange(1, 14)):
                model.step()
            reports = city.collect(broker, limit=draw.choice([2, 5, 50]))
            assert not [report.error for report in reports if report.error]
            model.collected()
            held = {one.grant.id: set(city.shown(broker, one)) for one in granted}
            progress = city.relay(broker)
            seen["tombstone"] += progress.tombstones
            if turn % 3 != 0:
                late = city.grant(
                    broker, f"late{turn}", "id_no birth_date", tier=draw.choice([2, 3]),
                    department="grid", scope=draw.choice(["3715", "371503", "371502002"]),
                )  # fmt: skip
                granted.append(late)
                seen["late share"] += 1
                city.relay(broker)
            for one in granted:
                assert ordered(city.shown(broker, one).values()) == ordered(
                    expected(broker, model, one)
                )
                left = held.get(one.grant.id, set()) - set(city.shown(broker, one))
                seen["scope or row exit"] += len(left)


def test_the_interesting_cases_occurred() -> None:
    wanted = (
        "insert", "young", "change", "move", "owner changed", "equal time elsewhere", "delete",
        "bad update", "tombstone", "late share", "scope or row exit",
    )  # fmt: skip
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"
