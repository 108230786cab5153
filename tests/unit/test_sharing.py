"""Consumers, grants, and the shares that follow from them."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.errors import CatalogError, GrantError, PolicyError
from broker.model import Level
from broker.policy.impact import Change
from tests import city


def test_equal_grants_of_one_department_use_one_share(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name sex")
        other = city.grant(broker, "b", "name sex", department="wj")
        third = city.grant(broker, "c", "name")
        assert one.share and other.share and third.share
        assert one.share.id == other.share.id != third.share.id
        (both,) = [found for found in broker.sharing.audiences() if len(found.readers) == 2]
        assert both.readers == ["a", "b"] and both.share.id == one.share.id
        assert broker.sharing.readable(third.share.id, "c") == third.share
        for consumer in ("a", "nobody"):
            with pytest.raises(GrantError, match="no right"):
                broker.sharing.readable(third.share.id, consumer)


def test_pseudonym_domains_keep_departments_apart(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "id_no", tier=Level.L2, department="grid")
        other = city.grant(broker, "b", "id_no", tier=Level.L2, department="wj")
        purpose = city.grant(
            broker, "d", "id_no", tier=Level.L2, department="grid", purpose="another"
        )
        permits = city.grant(
            broker, "e", "id_no", tier=Level.L2, department="grid", dataset="ga.residence_permit"
        )
        assert purpose.share and permits.share
        domains = {one.share.domain for one in (one, other, purpose, permits) if one.share}
        assert len(domains) == 4
        broker.life.provision()
        assert len({broker.keyring.key(f"pseudonym.{name}") for name in domains}) == 4
        again = city.grant(broker, "c", "id_no", tier=Level.L2, department="grid")
        assert one.share and other.share and again.share
        assert one.share.id == again.share.id != other.share.id


def test_a_share_lives_as_long_as_an_active_grant(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        today = broker.today
        one = city.grant(broker, "a", "name", valid_until=str(today))
        assert one.share and broker.sharing.readable(one.share.id, "a")
    tomorrow = today + timedelta(days=1)
    with city.city(tmp_path, tomorrow) as broker:
        assert broker.sharing.shares() == []
        with pytest.raises(GrantError, match="no right"):
            broker.sharing.readable(one.share.id, "a")
        broker.sharing.settle()
        late = city.grant(broker, "b", "name", valid_from=str(tomorrow))
        assert late.share and late.share.id != one.share.id, "a lapsed share never comes back"


def test_a_clock_that_is_set_back_revives_nothing(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        today = broker.today
        one = city.grant(broker, "a", "name", valid_until=str(today))
        assert one.share
    with city.city(tmp_path, today + timedelta(days=1)) as broker:
        broker.sharing.settle()
    with city.city(tmp_path, today) as broker:
        (outcome,) = broker.sharing.settle()
        assert outcome.share is None and broker.sharing.shares() == []
        assert broker.sharing.grant(one.grant.id).state_on(today) == "EXPIRED"


def test_a_grant_that_starts_later_opens_its_share_then(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        tomorrow = broker.today + timedelta(days=1)
        outcome = city.grant(broker, "a", "name", valid_from=str(tomorrow))
        assert outcome.share is None and outcome.decision.refused.code == "no_grant"
    with city.city(tmp_path, tomorrow) as broker:
        (outcome,) = broker.sharing.settle()
        assert outcome.share is not None


def test_a_filter_may_read_only_what_the_grant_shows(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        hidden = city.grant(broker, "a", "name", filter="{eq: {sex: '2'}}")
        assert hidden.share is None and hidden.decision.refused.code == "filter_publishes"
        shown = city.grant(broker, "b", "name sex", filter="{eq: {sex: '2'}}")
        assert shown.share is not None
        by_division = "{prefix: {division_code: '371502001'}}"
        unseen = city.grant(broker, "c", "name", filter=by_division)
        assert unseen.decision.refused and "division_code" in unseen.decision.refused.en
        seen = city.grant(broker, "d", "name division_code", filter=by_division)
        assert seen.share is not None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"purpose": " "}, "purpose is missing"),
        ({"legal_basis": ""}, "legal_basis is missing"),
        ({"impact_assessment": ""}, "impact_assessment is missing"),
        ({"notice": ""}, "notice is missing"),
        ({"valid_until": "soon"}, "valid_until is no date"),
        ({"valid_until": "2020-01-01"}, "ends before it starts"),
        ({"filter": "{eq: {id_no: x}}"}, "may not read id_no"),
        ({"filter": "{eq: ["}, "not valid YAML"),
        ({"filter": "{eq: {status: 2026-02-30}}"}, "not valid YAML"),
        ({"filter": "&a {all: [*a]}"}, "an anchor or alias"),
        ({"filter": "{not: " * 900 + "x" + "}" * 900}, "nested too deep"),
        ({"filter": "{not: " * 40 + "{is_null: sex}" + "}" * 40}, "nested too deep"),
        ({"filter": "{like: {sex: x}}"}, "unknown operator"),
        ({"items": "shoe_size"}, "no item 'shoe_size'"),
        ({"items": ""}, "no item is asked for"),
        ({"dataset": "ga.nothing"}, "no dataset"),
    ],
)
def test_what_is_missing_or_unknown_is_refused(
    tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    with city.city(tmp_path) as broker:
        items = changes.pop("items", "name")
        with pytest.raises((GrantError, PolicyError, CatalogError), match=says) as error:
            city.grant(broker, "a", items, **changes)
        assert error.value.mend
        assert broker.sharing.grants() == []


def test_one_active_grant_a_dataset_and_ids_of_consumers(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        city.grant(broker, "a", "name")
        with pytest.raises(GrantError, match="already has grant"):
            city.grant(broker, "a", "sex")
        for name in ("A", "1a", "a.b", "shuqiao", "", "a-b"):
            with pytest.raises(GrantError, match="cannot be a consumer"):
                broker.sharing.add_consumer(name, "mz", Level.L3, "")
        with pytest.raises(GrantError, match="no department"):
            broker.sharing.add_consumer("b", "zz", Level.L3, "")
        with pytest.raises(GrantError, match="already a consumer"):
            broker.sharing.add_consumer("a", "mz", Level.L3, "")


def test_what_a_department_once_held_binds_its_later_grants(tmp_path: Path) -> None:
    rules = tmp_path / "policies" / "rules"
    rules.mkdir(parents=True)
    (rules / "edges.yaml").write_text(
        "rules:\n- {id: e, title: t, reason: r, owner: ga, author: a, approver: b,"
        " expires: 2099-01-01,\n   relax: {items: [id_no], datasets: [ga.resident_base],"
        " consumers: [first], at_least: edges}}\n"
    )
    with city.city(tmp_path) as broker:
        first = city.grant(broker, "first", "id_no sex division_code name", tier=Level.L2)
        assert str(first.decision.effects["id_no"]).startswith(("edges", "pseudonym"))
        later = city.grant(broker, "later", "name birth_date", tier=Level.L3)
        shows_edges = str(first.decision.effects["id_no"]).startswith("edges")
        assert shows_edges and str(later.decision.effects["birth_date"]) == "decade"


EDGES = (
    "rules:\n- {id: e, title: t, reason: r, owner: ga, author: a, approver: b,"
    " expires: 2099-01-01,\n   relax: {items: [id_no], datasets: [ga.resident_base],"
    " consumers: [first], at_least: edges}}\n"
)


def put_in_force(broker: Broker, rules: str) -> None:
    broker.versions.newest(broker.today)  # what is shipped is in force first
    folder = broker.settings.local_policies / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(rules)
    broker.sharing.apply(broker.versions.files(broker.today)[0], "a", "b", "r")


def test_what_was_shown_once_still_holds_when_it_is_hidden_now(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        put_in_force(broker, EDGES)
        first = city.grant(broker, "first", "id_no sex division_code name", tier=Level.L2)
        assert first.decision.effects["id_no"].name == "edges"
        put_in_force(broker, "rules: []\n")
        assert broker.sharing.decision(first.grant.id).effects["id_no"].name == "pseudonym"
        later = city.grant(broker, "later", "name birth_date")
        assert later.decision.effects["birth_date"].name == "decade"
        broker.sharing.revoke(first.grant.id, "r")
        assert broker.sharing.decision(later.grant.id).effects["birth_date"].name == "decade"


def test_what_will_be_shown_holds_already(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        put_in_force(broker, EDGES)
        soon = str(broker.today + timedelta(days=3))
        items = "id_no sex division_code name"
        first = city.grant(broker, "first", items, tier=Level.L2, valid_from=soon)
        assert first.share is None
        later = city.grant(broker, "later", "name birth_date")
        assert later.decision.effects["birth_date"].name == "decade"


def difference(broker: Broker, one: int, other: int) -> list[Change]:
    return broker.sharing.impact(broker.versions.content(other), one)


def limited(item: str, effect: str) -> str:
    return (
        f"rules:\n- {{id: l, title: t, reason: r, owner: ga,\n"
        f"   limit: {{datasets: [ga.resident_base], items: [{item}], to: {effect}}}}}\n"
    )


def apply_alone(broker: Broker, rules: str) -> int:
    folder = broker.settings.local_policies / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(rules)
    return broker.sharing.apply(broker.versions.files(broker.today)[0], "a", "", "r")


def relaxed(consumer: str) -> str:
    return EDGES.replace("first", consumer).replace("edges}", "keep}")


@pytest.mark.parametrize("state", ["SUSPENDED", "PENDING"])
def test_what_a_suspended_or_a_future_grant_will_get_is_seen(tmp_path: Path, state: str) -> None:
    with city.city(tmp_path) as broker:
        soon = str(broker.today + timedelta(days=3 * (state == "PENDING")))
        put_in_force(broker, limited("name", "surname"))
        one = city.grant(broker, "first", "name", valid_from=soon)
        if state == "SUSPENDED":
            broker.sharing.suspend(one.grant.id, "r")
        put_in_force(broker, "rules: []\n")
        found = [
            (one.item, str(one.before), str(one.after), one.state, one.direction)
            for one in difference(broker, 2, 3)
        ]
        assert found == [("name", "surname", "keep", state, "wider")]
        (back,) = difference(broker, 3, 2)
        assert (back.state, back.direction) == (state, "narrower")


def test_a_future_grant_is_decided_as_of_its_first_day(tmp_path: Path) -> None:
    """The relax will be over by then: it shows the grant nothing."""
    with city.city(tmp_path) as broker:
        today, soon = broker.today, broker.today + timedelta(days=3)
        rules = relaxed("first").replace("2099-01-01", str(today)).replace("id_no", "name")
        one = city.grant(broker, "first", "name", tier=Level.L2, valid_from=str(soon))
        put_in_force(broker, rules)
        assert difference(broker, 1, 2) == []
        put_in_force(broker, rules.replace(str(today), str(soon)))
        (change,) = difference(broker, 2, 3)
        assert (change.grant, change.state) == (one.grant.id, "PENDING")


def test_an_ended_grant_is_not_in_the_matrix(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "first", "name")
        broker.sharing.revoke(one.grant.id, "r")
        put_in_force(broker, limited("name", "surname"))
        assert difference(broker, 1, 2) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (limited("name", "surname"), "rules: []\n"),
        (limited("hukou_addr", "county"), limited("hukou_addr", "street")),
        (
            limited("name", "surname"),
            limited("name", "surname").replace("to:", "except_departments: [wj], to:"),
        ),
        ("rules: []\n", relaxed("nobody")),
        (relaxed("nobody").replace("2099", "2098"), relaxed("nobody")),
        (relaxed("nobody").replace("keep", "pseudonym"), relaxed("nobody")),
        (relaxed("nobody"), relaxed("nobody").replace("consumers: [nobody], ", "")),
        (
            "rules:\n- {id: f, title: t, reason: r, owner: ga,\n"
            "   forbid: {datasets: [ga.resident_base], rows: {eq: {sex: '2'}}}}\n",
            "rules: []\n",
        ),
    ],
)
def test_a_looser_rule_needs_another_person_although_nobody_has_a_grant(
    tmp_path: Path, before: str, after: str
) -> None:
    with city.city(tmp_path) as broker:
        put_in_force(broker, before)
        with pytest.raises(GrantError, match="another approver"):
            apply_alone(broker, after)
        assert len(broker.versions.all()) == 2
        put_in_force(broker, after)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tiers.yaml", "person_name: surname", "person_name: drop"),
        ("guards.yaml", "birth_date: year", "birth_date: decade"),
    ],
)
def test_tables_and_guards_are_tightened_by_one_and_loosened_by_two(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    policies = tmp_path / "shipped"
    shutil.copytree(city.ROOT / "policies", policies, ignore=shutil.ignore_patterns("*.py", "__*"))
    with city.city(tmp_path, policies=policies) as broker:
        broker.versions.newest(broker.today)
        text = (policies / file).read_text("utf-8")
        (policies / file).write_text(text.replace(old, new), "utf-8")
        assert broker.sharing.apply(broker.versions.files(broker.today)[0], "a", "", "r") == 2
        (policies / file).write_text(text, "utf-8")
        content = broker.versions.files(broker.today)[0]
        with pytest.raises(GrantError, match="another approver"):
            broker.sharing.apply(content, "a", "", "r")
        assert broker.sharing.apply(content, "a", "b", "r") == 3


@pytest.mark.parametrize(
    "after",
    [
        limited("name", "surname"),
        limited("birth_date", "decade"),
        limited("id_no", "pseudonym"),
        "rules:\n- {id: f, title: t, reason: r, owner: ga,\n"
        "   forbid: {datasets: [ga.resident_base], items: [name]}}\n",
    ],
)
def test_a_stricter_rule_takes_one_person(tmp_path: Path, after: str) -> None:
    with city.city(tmp_path) as broker:
        city.grant(broker, "first", "name birth_date id_no")
        put_in_force(broker, "rules: []\n")
        number = len(broker.versions.all())
        assert apply_alone(broker, after) == number + 1
        renamed = after.replace("id: l", "id: m").replace("title: t", "title: u")
        assert apply_alone(broker, renamed) == number + 2 - (renamed == after)


def test_a_rule_that_stops_a_guard_needs_another_person(tmp_path: Path) -> None:
    """An ID number's edges would come back where the birth date is hidden."""
    with city.city(tmp_path) as broker:
        put_in_force(broker, EDGES)
        hidden = limited("birth_date", "drop").removeprefix("rules:\n")
        with pytest.raises(GrantError, match="another approver"):
            apply_alone(broker, EDGES + hidden)


def test_a_tier_is_raised_by_two_and_lowered_by_one(tmp_path: Path) -> None:
    city.fill(tmp_path, range(3), datetime.now() - timedelta(days=1))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name sex", tier=Level.L2)
        other = city.grant(broker, "b", "name", tier=Level.L2)
        city.relay(broker)
        old = broker.sharing.grant(one.grant.id).share
        (change,) = broker.sharing.tier_impact("a", Level.L3)
        assert (change.consumer, change.item, change.direction) == ("a", "name", "wider")
        for approver in ("", "a", " Ａ "):
            with pytest.raises(GrantError, match="another approver"):
                broker.sharing.change_tier("a", Level.L3, "a", approver, "r")
        assert broker.sharing.consumer("a").tier == Level.L2
        broker.sharing.change_tier("a", Level.L3, "a", "b", "r")
        stored = broker.sharing.grant(one.grant.id)
        assert stored.share == old and stored.opening, "the wider share opens first"
        assert broker.sharing.decision(one.grant.id).effects["name"].name == "keep"
        city.relay(broker)
        wide = broker.sharing.grant(one.grant.id).share
        (back,) = broker.sharing.tier_impact("a", Level.L2)
        assert back.direction == "narrower"
        before = broker.sharing.revision()
        broker.sharing.change_tier("a", Level.L2, "a", "", "r")
        assert broker.sharing.revision() != before
        assert wide
        with pytest.raises(GrantError, match="no right"):
            broker.sharing.readable(wide, "a")
        assert broker.sharing.decision(other.grant.id).effects["name"].name == "surname"
        found = [(one.consumer, one.before, one.after, one.author, one.approver)
                 for one in broker.sharing.tier_changes()]  # fmt: skip
        assert found == [("a", 2, 3, "a", "b"), ("a", 3, 2, "a", "")]


def test_a_tier_is_raised_by_two_although_there_is_no_grant(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        broker.sharing.add_consumer("a", "mz", Level.L2, "")
        with pytest.raises(GrantError, match="another approver"):
            broker.sharing.change_tier("a", Level.L3, "a", "", "r")
        with pytest.raises(GrantError, match="author or reason"):
            broker.sharing.change_tier("a", Level.L1, "a", "", " ")
        with pytest.raises(GrantError, match="no consumer"):
            broker.sharing.change_tier("b", Level.L1, "a", "", "r")
        with pytest.raises(GrantError, match="is T2 already"):
            broker.sharing.change_tier("a", Level.L2, "a", "b", "r")


def test_a_suspended_grant_counts_when_a_tier_changes(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name", tier=Level.L2)
        broker.sharing.suspend(one.grant.id, "r")
        (change,) = broker.sharing.tier_impact("a", Level.L3)
        assert (change.state, change.direction) == ("SUSPENDED", "wider")


def test_a_lower_tier_that_shows_more_to_another_takes_two(tmp_path: Path) -> None:
    """What a grant will show holds already; what it no longer will, frees the others."""
    with city.city(tmp_path) as broker:
        put_in_force(broker, EDGES)
        soon = str(broker.today + timedelta(days=3))
        items = "id_no sex division_code name"
        city.grant(broker, "first", items, tier=Level.L2, valid_from=soon)
        later = city.grant(broker, "later", "name birth_date")
        assert later.decision.effects["birth_date"].name == "decade"
        found = broker.sharing.tier_impact("first", Level.L1)
        assert ("later", "birth_date", "wider") in {
            (one.consumer, one.item, one.direction) for one in found
        }
        with pytest.raises(GrantError, match="shows more to somebody: it needs another approver"):
            broker.sharing.change_tier("first", Level.L1, "a", "", "r")
        assert broker.sharing.consumer("first").tier == Level.L2
        broker.sharing.change_tier("first", Level.L1, "a", "b", "r")
        assert broker.sharing.decision(later.grant.id).effects["birth_date"].name == "keep"
