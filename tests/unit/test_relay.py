"""The relay where records or projections fail: one record, one share; the rest goes on."""

import json
import operator
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from broker.errors import LogError, ProjectionError, RoutingError, UnknownTopic
from broker.log.embedded import EmbeddedLog
from broker.log.interface import Append, Batch
from broker.projection import projector
from broker.projection.reference import Projection
from broker.pseudonym import keyed_hash
from broker.quarantine import Quarantine
from broker.relay import partition
from broker.relay.routing import Router
from tests import city, recompute

NOW = datetime.now() - timedelta(days=1)
TOPIC = "collected.ga.resident_base"


def test_a_record_that_cannot_be_opened_leaves_every_share_that_holds_it(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    city.put(city.county(tmp_path, "371502"), *(city.resident(n, NOW) for n in range(5)))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        city.relay(broker)
        key, sealed = next(iter(recompute.newest(broker, TOPIC).items()))
        partition = next(
            p for p in range(4) if any(r.key == key for r in broker.log.read(TOPIC, p, 0, 99))
        )
        spoilt = sealed[:-1] + bytes([sealed[-1] ^ 1])
        broker.log.commit(Batch([Append(TOPIC, partition, key, spoilt)]))
        progress = city.relay(broker)
        assert progress.quarantined == 1 and progress.tombstones == 2
        assert len(city.shown(broker, one)) == len(city.shown(broker, other)) == 4
        dataset = broker.catalog.dataset("ga.resident_base")
        ((_, _, entry),) = Quarantine(dataset, broker.sealer).entries(broker.log)
        assert entry.reason == "cannot_be_opened" and entry.raw == spoilt
        assert entry.where.startswith(f"{TOPIC}/{partition}@")


def test_where_one_projection_fails_that_share_alone_loses_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "has_kernel", lambda: False)
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW), city.resident(2, NOW))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        named, sexed = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        city.relay(broker)
        project = Projection.project

        def failing(self: Projection, record: dict[str, object]) -> bytes:
            if record["name"] == "坏" and self._steps[0][0] == "name":
                raise ProjectionError("planted", where="name", mend="none")
            return project(self, record)

        monkeypatch.setattr(Projection, "project", failing)
        later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        city.put(path, city.resident(1, NOW, xm="坏", gxsj=later))
        city.collect(broker)
        progress = city.relay(broker)
        assert progress.quarantined == 1 and progress.tombstones == 1
        assert len(city.shown(broker, named)) == 1 and len(city.shown(broker, sexed)) == 2


def test_shares_tell_nothing_by_key_order_or_offset(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    city.put(city.county(tmp_path, "371502"), *(city.resident(n, NOW) for n in range(40)))
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=100)
        shares = [city.grant(broker, name, items).share for name, items in
                  (("a", "name"), ("b", "sex"))]  # fmt: skip
        city.relay(broker)
        keys = []
        for share in shares:
            assert share is not None
            for partition in range(4):
                read = broker.log.read(share.topic, partition, 0, 99)
                assert [r.key for r in read] == sorted(r.key for r in read)
            keys.append(set(recompute.newest(broker, share.topic)))
        assert not keys[0] & keys[1] and not keys[0] & set(recompute.newest(broker, TOPIC))


def test_a_thousand_scopes_use_one_projection_and_cost_what_they_reach(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        codes = [one.code for one in broker.divisions.all() if one.tier in ("village", "town")]
        for number, code in enumerate(codes[:60]):
            city.grant(broker, f"c{number}", "name", scope=code)
        dataset = broker.catalog.dataset("ga.resident_base")
        router = Router(dataset, broker.sharing.shares(dataset.id), broker.divisions)
        assert len(router.templates) == 1 and len(router.rules) == 1
        record = {"division_code": city.TOWNS[0], "id_no": "990000198001150015",
                  "status": "normal"}  # fmt: skip
        reached = router.routes(record, 2026)
        assert {route.share.rows.scope.code for route in reached} == {"371502001", city.TOWNS[0]}
        for division in (None, "", "371599999999", 5):
            with pytest.raises(RoutingError):
                router.routes({**record, "division_code": division}, 2026)


def test_a_division_that_left_the_table_is_set_aside_with_tombstones(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW), city.resident(2, NOW, xzqh=city.TOWNS[1]))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert len(city.shown(broker, one)) == 2
    schemas = tmp_path / "schemas"
    shutil.copytree(city.ROOT / "schemas", schemas)
    table = (schemas / "divisions.csv").read_text("utf-8").splitlines(keepends=True)
    with city.city(tmp_path) as broker:
        later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        city.put(path, city.resident(1, NOW, gxsj=later, xm="改名"))
        city.collect(broker)
    kept = [line for line in table if not line.startswith(city.TOWNS[0])]
    (schemas / "divisions.csv").write_text("".join(kept), "utf-8")
    with city.city(tmp_path, schemas=schemas) as broker:
        progress = city.relay(broker)
        assert progress.reasons == {"cannot_be_routed": 1} and progress.tombstones == 1
        assert len(city.shown(broker, one)) == 1


def test_keys_are_hashed_with_a_secret_of_this_installation_and_of_the_dataset(
    tmp_path: Path,
) -> None:
    found = []
    person = city.resident(1, NOW)
    for name in ("one", "other"):
        folder = tmp_path / name
        city.use_mapping(folder)
        city.put(city.county(folder, "371502"), person)
        with city.city(folder) as broker:
            city.collect(broker)
            (key,) = recompute.newest(broker, TOPIC)
            found.append(key)
            secrets = {
                broker.dataset_key("record", one) for one in broker.catalog.datasets.values()
            }
            assert len(secrets) == len(broker.catalog.datasets)
            text = json.dumps([person["gmsfhm"]], ensure_ascii=False).encode()
            assert key == keyed_hash(broker.keyring.key("record.ga.resident_base"), text)
            assert key != keyed_hash(b"", text)
    assert found[0] != found[1]


def test_a_share_whose_topic_is_not_shown_is_never_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that was away does not know yet what was made meanwhile: what the common pass
    writes now would be missing in the share for ever."""
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        city.relay(broker)
        city.put(path, city.resident(2, NOW + timedelta(minutes=1)))
        city.collect(broker)
        assert one.share and other.share
        hidden = one.share.topic
        there = EmbeddedLog.there
        with monkeypatch.context() as patched:
            patched.setattr(EmbeddedLog, "there", lambda log, names: there(log, names) - {hidden})
            with pytest.raises(UnknownTopic, match="not shown"):
                city.relay(broker)
        assert len(city.shown(broker, other)) == 1
        city.relay(broker)
        assert len(city.shown(broker, one)) == len(city.shown(broker, other)) == 2
        broker.sharing.revoke(one.grant.id, "r")  # and one that has ended stops nobody
        broker.life.advance()
        city.put(path, city.resident(3, NOW + timedelta(minutes=2)))
        city.collect(broker)
        city.relay(broker)
        assert len(city.shown(broker, other)) == 3


def test_a_partition_that_is_given_away_keeps_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.fill(tmp_path, range(20), NOW)
    with city.city(tmp_path) as broker:
        room = broker.relay._tools.room
        all_of_it = room.keys
        city.collect(broker, limit=50)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert len(city.shown(broker, one)) == 20 and room.keys == all_of_it - 20
        monkeypatch.setattr(broker.log, "owns", lambda topic, partition: False)
        role = broker.relay_role()
        with city.running(role):
            city.until(lambda: room.keys == all_of_it, 10)
        role.close()


def test_what_is_too_much_for_a_commit_is_tried_with_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a transaction has its time: the same batch again would never land."""
    city.fill(tmp_path, range(200), NOW)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=500)
        one = city.grant(broker, "a", "name")
        commit, sizes = broker.log.commit, list[int]()

        def within(batch: Batch) -> None:
            if batch.consumed:
                sizes.append(batch.records())
                if sizes[-1] > 10:
                    raise LogError("it takes too long")
            commit(batch)

        monkeypatch.setattr(broker.log, "commit", within)
        for _ in range(40):
            try:
                city.relay(broker)
            except LogError:
                continue
            break
        assert sizes[0] > 10 and len(city.shown(broker, one)) == 200
        assert sum(size > 10 for size in sizes) < 40


@pytest.mark.parametrize("shares", [1, 5])
def test_what_a_batch_writes_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shares: int
) -> None:
    """In bytes and in values, by how many shares a record reaches."""
    monkeypatch.setattr(partition, "WRITTEN", 20_000)
    city.use_mapping(tmp_path)
    long = "山东省聊城市东昌府区古楼街道" + "长" * 300
    rows = [city.resident(n, NOW, **({"hjdz": long} if n < 100 else {})) for n in range(120)]
    city.put(city.county(tmp_path, "371502"), *rows)
    with city.city(tmp_path, relay_batch=50) as broker:
        city.collect(broker, limit=500)
        items = ["sex", "status", "birth_date", "division_code"]
        granted = [
            city.grant(broker, f"c{n}", " ".join(["hukou_addr", *items[:n]])) for n in range(shares)
        ]
        sizes, commit = list[tuple[int, int]](), broker.log.commit

        def noting(batch: Batch) -> None:
            if batch.consumed:
                values = [one for run in batch.all_runs() for one in run.values if one]
                sizes.append((len(values), sum(map(len, values))))
            commit(batch)

        monkeypatch.setattr(broker.log, "commit", noting)
        city.relay(broker)
        assert all(len(city.shown(broker, one)) == 120 for one in granted)
        assert max(size for _, size in sizes) <= 20_000 + 1_000 * shares
        assert sizes[0][0] <= 50, "a batch begins with as many values as it has records at most"


def test_a_plan_is_compiled_once_however_many_datasets_there_are(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        one = broker.catalog.dataset("ga.resident_base")
        datasets = [replace(one, id=f"ga.of_{number}") for number in range(40)]
        first = [broker.relay.plan(dataset, []) for dataset in datasets]
        again = [broker.relay.plan(dataset, []) for dataset in datasets]
        assert all(map(operator.is_, first, again))
