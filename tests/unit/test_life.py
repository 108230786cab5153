"""A share's life: opening, live, closing, closed; what follows from a change."""

import secrets
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.errors import GrantError, KeyringError, UnknownTopic
from broker.log.interface import Batch
from broker.model import Level
from broker.sharing.service import Outcome
from broker.sharing.share import CLOSED, LIVE, OPENING
from tests import city, recompute

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"


def people(folder: Path, count: int = 6, **changes: str) -> None:
    city.fill(folder, range(count), NOW, **changes)


def apply(broker: Broker, rules: str) -> int:
    """Put a rule file of this installation in force."""
    folder = broker.settings.local_policies / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(rules, "utf-8")
    content, _ = broker.versions.files(broker.today)
    return broker.sharing.apply(content, "a", "b", "test")


def limit(item: str, effect: str) -> str:
    return (
        f"rules:\n- {{id: l-{item}, title: t, reason: r, owner: ga,\n"
        f"   limit: {{datasets: [{DATASET}], items: [{item}], to: {effect}}}}}\n"
    )


def relax(item: str, effect: str, consumer: str) -> str:
    return (
        f"rules:\n- {{id: r-{item}, title: t, reason: r, owner: ga, author: a, approver: b,"
        f" expires: 2099-01-01,\n   relax: {{datasets: [{DATASET}], items: [{item}],"
        f" consumers: [{consumer}], at_least: {effect}}}}}\n"
    )


def share_of(broker: Broker, outcome: Outcome) -> str:
    return broker.sharing.grant(outcome.grant.id).share or ""


def test_opening_until_it_has_caught_up_then_live(tmp_path: Path) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        assert one.share and one.share.state == OPENING
        assert one.share.topic not in broker.log.topics()
        city.relay(broker)
        assert broker.sharing.share(one.share.id).state == LIVE
        assert len(city.shown(broker, one)) == 6


def test_revoking_closes_topic_and_key_and_leaves_nothing_behind(tmp_path: Path) -> None:
    mark = "名" + secrets.token_hex(8)
    people(tmp_path, xm=mark)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert one.share
        files = [tmp_path / "log.db", tmp_path / "log.db-wal"]
        assert any(mark.encode() in file.read_bytes() for file in files)
        broker.sharing.revoke(one.grant.id, "purpose ended")
        with pytest.raises(GrantError, match="no right"):
            broker.sharing.readable(one.share.id, "a")
        assert broker.life.advance() == [one.share.id]
        assert not any(mark.encode() in file.read_bytes() for file in files if file.exists())
        with pytest.raises(UnknownTopic):
            broker.log.read(one.share.topic, 0, 0, 1)
        with pytest.raises(KeyringError):
            broker.keyring.key(f"share.{one.share.id}")
        assert broker.log.positions(f"share.{one.share.id}") == {}
        assert broker.sharing.share(one.share.id).state == CLOSED
        assert broker.sharing.grant(one.grant.id).state == "TERMINATED"


def test_a_large_share_is_wiped_in_bounded_steps(tmp_path: Path) -> None:
    """Who takes a right away need not wait for the wipe: it goes on with the next step."""
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        assert one.share
        broker.sharing.revoke(one.grant.id, "r")
        assert broker.life.advance(within=0) == []
        assert broker.life.closing() == [one.share.id]
        assert one.share.topic not in broker.log.topics()
        with pytest.raises(KeyringError):
            broker.keyring.key(f"share.{one.share.id}")
        assert broker.life.advance() == [one.share.id] and broker.life.closing() == []


def test_where_another_grant_uses_the_share_only_the_right_ends(tmp_path: Path) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "name")
        city.relay(broker)
        assert one.share and other.share and one.share.id == other.share.id
        broker.sharing.revoke(one.grant.id, "r")
        assert broker.life.advance() == []
        with pytest.raises(GrantError, match="no right"):
            broker.sharing.readable(one.share.id, "a")
        assert broker.sharing.readable(one.share.id, "b").state == LIVE


def test_suspending_ends_and_resuming_opens_another_share(tmp_path: Path) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        broker.sharing.suspend(one.grant.id, "misuse")
        broker.life.advance()
        assert broker.sharing.grant(one.grant.id).state == "SUSPENDED"
        assert broker.sharing.shares() == []
        again = broker.sharing.resume(one.grant.id, "mended")
        assert again.share and one.share and again.share.id != one.share.id
        city.relay(broker)
        assert len(city.shown(broker, again)) == 6


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (["resume"], "is ACTIVE"),
        (["revoke", "revoke"], "is TERMINATED"),
        (["revoke", "resume"], "is TERMINATED"),
        (["suspend", "suspend"], "is SUSPENDED"),
    ],
)
def test_steps_that_a_grant_does_not_take(tmp_path: Path, steps: list[str], says: str) -> None:
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name")
        for step in steps[:-1]:
            getattr(broker.sharing, step)(one.grant.id, "r")
        with pytest.raises(GrantError, match=says):
            getattr(broker.sharing, steps[-1])(one.grant.id, "r")
        with pytest.raises(GrantError, match="reason is missing"):
            broker.sharing.revoke(one.grant.id, " ")


def test_a_narrower_decision_closes_and_opens(tmp_path: Path) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name sex")
        city.relay(broker)
        old = share_of(broker, one)
        assert apply(broker, limit("name", "surname")) == 2
        assert [share.id for share in broker.sharing.shares()] == [share_of(broker, one)] != [old]
        with pytest.raises(GrantError, match="no right"):
            broker.sharing.readable(old, "a")
        city.relay(broker)
        assert broker.sharing.share(old).state == CLOSED
        again = next(o for o in broker.sharing.settle() if o.grant.id == one.grant.id)
        assert {record["name__surname"] for record in city.shown(broker, again).values()}


def test_a_wider_decision_opens_first_and_then_takes_the_place(tmp_path: Path) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        apply(broker, limit("name", "surname"))
        one = city.grant(broker, "a", "name sex")
        city.relay(broker)
        old = share_of(broker, one)
        apply(broker, "rules: []\n")
        stored = broker.sharing.grant(one.grant.id)
        assert stored.share == old and stored.opening not in (None, old)
        assert broker.sharing.readable(old, "a").state == LIVE
        city.relay(broker)
        after = broker.sharing.grant(one.grant.id)
        assert (after.share, after.opening) == (stored.opening, None)
        assert broker.sharing.share(old).state == CLOSED
        again = next(o for o in broker.sharing.settle() if o.grant.id == one.grant.id)
        assert recompute.held(broker, again) == recompute.wanted(broker, again) != {}


def test_wider_in_one_item_and_narrower_in_another_closes_at_once(tmp_path: Path) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        apply(broker, limit("name", "surname"))
        one = city.grant(broker, "a", "name hukou_addr")
        city.relay(broker)
        old = share_of(broker, one)
        apply(broker, limit("hukou_addr", "county"))
        stored = broker.sharing.grant(one.grant.id)
        assert stored.share != old and stored.opening is None
        with pytest.raises(GrantError, match="no right"):
            broker.sharing.readable(old, "a")


def test_an_item_that_falls_to_pseudonym_gets_its_domain_a_new_key(tmp_path: Path) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        pseudonym = city.grant(
            broker, "other", "id_no", tier=Level.L2, department="grid", purpose="p"
        )
        clear = city.grant(broker, "clear", "id_no sex", department="grid", purpose="p")
        city.relay(broker)
        before = share_of(broker, pseudonym)
        seen = {tuple(record.values()) for record in city.shown(broker, pseudonym).values()}
        apply(broker, limit("id_no", "pseudonym"))
        city.relay(broker)
        after = share_of(broker, pseudonym)
        assert after != before, "the shares of the old generation close"
        assert broker.sharing.share(after).domain.endswith("#1")
        again = {o.grant.id: o for o in broker.sharing.settle()}
        assert not seen & {
            tuple(record.values())
            for record in city.shown(broker, again[pseudonym.grant.id]).values()
        }
        assert broker.sharing.share(share_of(broker, clear)).domain.endswith("#1")
        broker.sharing.settle()
        assert share_of(broker, pseudonym) == after, "one fall, one generation"


def test_the_common_pass_goes_on_while_a_share_catches_up(tmp_path: Path) -> None:
    people(tmp_path, 160)
    with city.city(tmp_path, relay_batch=2) as broker:
        city.collect(broker)
        first = city.grant(broker, "a", "name")
        city.relay(broker)
        late = city.grant(broker, "b", "sex")
        broker.life.provision()
        dataset = broker.catalog.dataset(DATASET)
        step = lambda: broker.relay.step(dataset, 0, lambda: broker.sharing.shares(DATASET))  # noqa: E731
        step()
        later = (NOW + timedelta(minutes=5)).strftime("%Y-%m-%d %H:%M:%S")
        changed = [city.resident(n, NOW, xm="改名", gxsj=later) for n in range(160)]
        city.put(city.county(tmp_path, "371502"), *changed)
        city.collect(broker)
        renamed, steps = 0, 0
        while step().commits:
            steps += 1
            names = [record["name"] for record in city.shown(broker, first).values()]
            if broker.life.caught_up(late.share.id if late.share else "") == 0:
                renamed = max(renamed, names.count("改名"))
        assert steps > 4 and renamed >= 2, "the live share followed while the other caught up"
        city.relay(broker)
        for one in (first, late):
            assert recompute.held(broker, one) == recompute.wanted(broker, one)


def test_shares_opened_together_catch_up_in_one_pass(tmp_path: Path) -> None:
    people(tmp_path, 40)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        city.relay(broker)
        for number in range(12):
            city.grant(
                broker, f"c{number}", "name", scope=city.TOWNS[number % 4][: (6, 9, 12)[number % 3]]
            )
        progress = city.relay(broker)
        assert progress.read <= 40 and progress.commits <= 8


def close_between(broker: Broker, outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revoke and close in the moment between making a batch and committing it."""
    commit = broker.log.commit
    done = []

    def late(batch: Batch) -> None:
        if batch.records() and not done:
            done.append(True)
            broker.sharing.revoke(outcome.grant.id, "r")
            assert broker.life.close() == [outcome.share.id if outcome.share else ""]
        commit(batch)

    monkeypatch.setattr(broker.log, "commit", late)


@pytest.mark.parametrize("opening", [True, False])
def test_nothing_lands_in_a_share_that_closed_between_reading_and_committing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: bool
) -> None:
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        stays = city.grant(broker, "stays", "sex")
        ends = city.grant(broker, "ends", "name")
        if not opening:
            city.relay(broker)
            later = (NOW + timedelta(minutes=5)).strftime("%Y-%m-%d %H:%M:%S")
            city.put(
                city.county(tmp_path, "371502"),
                *(city.resident(n, NOW, xm="改名", gxsj=later) for n in range(6)),
            )
            city.collect(broker)
        close_between(broker, ends, monkeypatch)
        city.relay(broker)
        assert ends.share and ends.share.topic not in broker.log.topics()
        assert recompute.held(broker, stays) == recompute.wanted(broker, stays) != {}


def test_a_relay_that_was_overtaken_starts_from_what_is_committed(tmp_path: Path) -> None:
    people(tmp_path, 20)
    with city.city(tmp_path, relay_batch=3) as one, city.city(tmp_path, relay_batch=4) as other:
        city.collect(one)
        granted = city.grant(one, "a", "name")
        one.life.provision()
        dataset = one.catalog.dataset(DATASET)
        turn = 0
        while any(
            broker.relay.step(dataset, p, lambda b=broker: b.sharing.shares(DATASET)).commits
            for broker in ((one, other) if turn % 2 else (other, one))
            for p in range(4)
        ):
            turn += 1
        assert recompute.held(one, granted) == recompute.wanted(one, granted)
        assert turn > 2
        assert city.end_of(one, granted) == 20, "nothing twice"


def test_a_domain_gets_its_key_although_its_first_share_never_opened(tmp_path: Path) -> None:
    """Revoked before anybody had made its topic: what opens next in the domain is new."""
    people(tmp_path)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "id_no", tier=Level.L2)
        assert one.share and one.share.domain
        broker.sharing.revoke(one.grant.id, "r")
        broker.life.close()
        again = city.grant(broker, "b", "id_no", tier=Level.L2)
        assert again.share and again.share.domain == one.share.domain
        city.relay(broker)
        assert recompute.held(broker, again) == recompute.wanted(broker, again) != {}
