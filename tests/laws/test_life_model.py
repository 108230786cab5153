"""A year of the path against a model: residents move and get other ID numbers, grants end and
come back, the policy narrows and widens, processes start again, a new year comes, superseded
versions go; all at random.

At every moment what a consumer may read is within today's decision; whenever the relay has
caught up, every grant's share is exactly what deciding and masking the true rows anew gives,
and of closed shares nothing is left.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.errors import GrantError
from broker.policy.compare import within
from broker.policy.impact import changes
from broker.policy.rows import admits
from broker.sharing.rights import group_right, rights_to
from broker.sharing.share import LIVE
from tests import city
from tests.cluster import Remembers
from tests.laws import test_path_model as path
from tests.laws.test_path_model import Model, expected, ordered

FLOOR = 20
DATASET = "ga.resident_base"
LIMITS = {"name": "surname", "hukou_addr": "county", "birth_date": "year", "id_no": "pseudonym"}
ITEMS = ("id_no sex", "name division_code", "hukou_addr name", "birth_date sex", "id_no name")
seen: Counter[str] = Counter()


class Residents(Model):
    """The counties' residents, some of whom get another ID number."""

    def step(self) -> None:
        before = Counter(path.seen)
        chance = self.draw.random()
        if self.here and chance < 0.1:
            self.rekey()
        elif chance < 0.25:
            self.young()
        else:
            super().step()
        seen.update(path.seen - before)

    def rekey(self) -> None:
        """The same person under another key: the source deletes one row and has another."""
        county, row = self._some()
        self._write(county, {**row, "zxbz": "1", "gxsj": self._later(row)})
        del self.here[row["gmsfhm"]]
        self.made += 1
        born = row["gmsfhm"][6:14]
        number = city.id_number(self.made, datetime.strptime(born, "%Y%m%d").date())
        self._write(county, {**row, "gmsfhm": number, "csrq": born, "gxsj": self.tick()})
        seen["key changed"] += row["gmsfhm"] in self.entries


class Year:
    """One city over the year, and what has happened to its grants and its policy."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.folder = folder
        self.draw = draw
        self.model = Residents(folder, draw)
        self.today = date(2026, 6, 1)
        self.limits: set[str] = set()
        self.states: dict[str, str] = {}
        self.made = 0
        self.cluster = Remembers()

    @contextmanager
    def opened(self) -> Iterator[Broker]:
        """A process: it ends, and another goes on."""
        with city.city(self.folder, self.today, relay_batch=self.draw.choice([3, 7])) as broker:
            if broker.cluster is None:
                broker.__dict__["cluster"] = self.cluster
            yield broker

    def step(self, broker: Broker) -> None:
        """Something happens to grants or policy."""
        kinds = ["give", "revoke", "suspend", "resume", "resume", *["policy"] * 4]
        getattr(self, self.draw.choice(kinds))(broker)

    def _some(self, state: str) -> str | None:
        found = sorted(name for name, known in self.states.items() if known == state)
        return self.draw.choice(found) if found else None

    def give(self, broker: Broker) -> None:
        self.made += 1
        outcome = city.grant(
            broker, f"c{self.made}", self.draw.choice(ITEMS), department="grid",
            tier=self.draw.choice([2, 3]), scope=self.draw.choice(["3715", "371502", "371502001"]),
            purpose=self.draw.choice(["p", "q"]), valid_from="2026-01-01", valid_until="2060-01-01",
            minors=self.draw.choice(["", "basis"]),
        )  # fmt: skip
        broker.credentials.rotate(outcome.grant.consumer.id)
        self.states[outcome.grant.id] = "ACTIVE"
        seen["given"] += 1

    def revoke(self, broker: Broker) -> None:
        if name := self._some("ACTIVE"):
            broker.sharing.revoke(name, "r")
            self.states[name] = "TERMINATED"
            seen["revoked"] += 1

    def suspend(self, broker: Broker) -> None:
        if name := self._some("ACTIVE"):
            broker.sharing.suspend(name, "r")
            self.states[name] = "SUSPENDED"
            seen["suspended"] += 1

    def resume(self, broker: Broker) -> None:
        if name := self._some("SUSPENDED"):
            broker.sharing.resume(name, "r")
            self.states[name] = "ACTIVE"
            seen["resumed"] += 1

    def policy(self, broker: Broker) -> None:
        """A limit comes or goes."""
        before = {one.grant.id: one.decision for one in broker.sharing.decided()}
        self.limits ^= {self.draw.choice(sorted(LIMITS))}
        rules = "".join(
            f"- {{id: l-{item}, title: t, reason: r, owner: ga,\n   limit: {{datasets: [{DATASET}],"
            f" items: [{item}], to: {LIMITS[item]}}}}}\n"
            for item in sorted(self.limits)
        )
        folder = self.folder / "policies" / "rules"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mine.yaml").write_text(f"rules:\n{rules}" if rules else "rules: []\n")
        broker.sharing.apply(broker.versions.files(broker.today)[0], "a", "b", "r")
        seen["policy applied"] += 1
        dataset = broker.catalog.dataset(DATASET)
        for one in broker.sharing.decided():
            for change in changes(before[one.grant.id], one.decision, dataset):
                seen[change.direction] += 1
        seen["kept while the wider opens"] += sum(
            one.opening is not None for one in broker.sharing.grants()
        )

    def partly(self, broker: Broker) -> None:
        """The relay gets somewhere, and no further."""
        broker.life.provision()
        dataset = broker.catalog.dataset(DATASET)
        for _ in range(self.draw.randrange(1, 6)):
            partition = self.draw.randrange(dataset.partitions)
            broker.relay.step(dataset, partition, lambda: broker.sharing.shares(DATASET))
        if self.draw.random() < 0.5:
            broker.life.advance()
        seen["partly relayed"] += 1

    def compact(self, broker: Broker) -> None:
        """Superseded versions go; at the end of the year old tombstones would as well."""
        removed = broker.controller_role().compact()
        seen["compacted"] += removed > 0

    def birthdays(self, broker: Broker) -> None:
        """Of a new year: who enters or leaves what a grant shows, by his age alone."""
        year = self.today.year
        converter = broker.converter(broker.mappings()[0])
        records = [converter.record(row) for row in self.model.live()]
        for one in broker.sharing.decided():
            rows = one.decision.rows
            seen["birthday"] += not one.decision.refused and sum(
                admits(rows, record, year - 1) != admits(rows, record, year)
                for record in records
                if isinstance(record, dict) and rows.scope.holds(record["division_code"])
            )

    def nothing_beyond_the_decision(self, broker: Broker) -> None:
        """At every moment: what may be read is within what is allowed now."""
        dataset = broker.catalog.dataset(DATASET)
        decided = {one.grant.consumer.id: one.decision for one in broker.sharing.decided()}
        stored = {one.grant.consumer.id: one for one in broker.sharing.grants()}
        readable = {name: 0 for name in stored}
        for audience in broker.sharing.audiences():
            for consumer in audience.readers:
                share = audience.share
                readable[consumer] += 1
                assert share.id in (stored[consumer].share, stored[consumer].opening)
                assert within(share.effects, share.rows, decided[consumer], dataset)
        for name, one in stored.items():
            assert (readable[name] > 0) == (not decided[name].refused)
            if self.states[one.grant.id] != "ACTIVE":
                assert not readable[name]

    def rights(self, broker: Broker) -> None:
        """On the cluster, consumers may do exactly what follows from that."""
        assert broker.cluster is not None
        broker.reading.settle()
        wanted = {group_right(name) for name in broker.credentials.made()}
        for one in broker.sharing.audiences():
            if one.share.state == LIVE:
                wanted |= rights_to((name, one.share.topic) for name in one.readers)
                seen["right on the cluster"] += 1
            else:
                seen["no right yet"] += 1
        assert broker.cluster.rights() == wanted

    def exact(self, broker: Broker) -> None:
        """Caught up: every share is what it must be, and nothing else is there."""
        city.relay(broker)
        for outcome in broker.sharing.settle():
            if self.states[outcome.grant.id] != "ACTIVE":
                assert outcome.share is None and outcome.opening is None
                continue
            assert outcome.share is not None and outcome.opening is None
            assert outcome.share.state == LIVE
            assert ordered(city.shown(broker, outcome).values()) == ordered(
                expected(broker, self.model, outcome)
            )
            seen["share compared"] += 1
        topics = {name for name in broker.log.topics() if name.startswith("shared.")}
        assert topics == {share.topic for share in broker.sharing.shares()}
        assert all(found.exact and not found.opening for found in compare_all(broker))
        self.rights(broker)


@pytest.mark.parametrize("seed", range(10))
def test_at_every_moment_a_share_is_what_the_policy_says(
    tmp_path: Path, seed: int, processes: int = 6
) -> None:
    draw = random.Random(seed)
    city.use_mapping(tmp_path)
    year = Year(tmp_path, draw)
    for process in range(processes):
        with year.opened() as broker:
            if not process:
                year.policy(broker)
                for _ in range(4):
                    year.give(broker)
            for _ in range(draw.randrange(2, 4)):
                for _ in range(draw.randrange(0, 9)):
                    year.model.step()
                reports = city.collect(broker, limit=draw.choice([2, 50]))
                assert not [report.error for report in reports if report.error]
                year.model.collected()
                for _ in range(draw.randrange(1, 5)):
                    year.step(broker)
                    year.nothing_beyond_the_decision(broker)
                    if draw.random() < 0.5:
                        year.rights(broker)
                    year.partly(broker)
                    if draw.random() < 0.3:
                        year.compact(broker)
                if draw.random() < 0.7:
                    year.exact(broker)
                    year.nothing_beyond_the_decision(broker)
        seen["restart"] += 1
        if draw.random() < 0.5:
            year.today = date(year.today.year + 1, 1, 1)
            seen["new year"] += 1
            with year.opened() as broker:
                year.birthdays(broker)
    with year.opened() as broker:
        year.exact(broker)
        for stored in broker.sharing.grants():
            with pytest.raises(GrantError):
                broker.sharing.readable(stored.share or "none", "nobody")


def test_the_interesting_cases_occurred() -> None:
    wanted = (
        "given", "revoked", "suspended", "resumed", "narrower", "wider", "restart", "new year",
        "partly relayed", "share compared", "kept while the wider opens", "compacted",
        "policy applied", "insert", "change", "move", "owner changed", "delete", "key changed",
        "birthday", "right on the cluster", "no right yet",
    )  # fmt: skip
    short = {name: seen[name] for name in wanted if seen[name] < FLOOR}
    assert not short, f"too few interesting cases: {short}"
