"""An item that the policy in force names is renamed: rights can still be taken away."""

import json
import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.doctor import examine
from broker.errors import GrantError, PolicyError
from broker.policy.loosening import UNREADABLE
from broker.sharing.share import CLOSED, LIVE
from broker.telemetry import Event, PolicyAway
from tests import city

NOW = datetime.now() - timedelta(days=1)
TODAY = date(2026, 6, 1)
DATASET, BASE = "ga.residence_permit", "ga.resident_base"
PLACE = r"policy version 1, rules/ga\.yaml:\d+"


class Town:
    """A city whose schemas and policy are its own, to be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("schemas", "policies"):
            shutil.copytree(city.ROOT / name, folder / "own" / name)
        city.fill(folder, range(5), NOW)

    def broker(self, today: date = TODAY) -> Broker:
        schemas, policies = self.folder / "own" / "schemas", self.folder / "own" / "policies"
        settings = city.settings(self.folder, schemas=schemas, policies=policies)
        return Broker(settings, city.clock(today))

    def rename(self) -> None:
        schema = self.folder / "own" / "schemas" / "ga" / "residence_permit.avsc"
        text = schema.read_text("utf-8")
        assert '"name": "phone"' in text
        schema.write_text(text.replace('"name": "phone"', '"name": "mobile"'), "utf-8")
        rules = self.folder / "own" / "policies" / "rules" / "ga.yaml"
        text = rules.read_text("utf-8")
        assert "items: [phone]" in text
        rules.write_text(text.replace("items: [phone]", "items: [mobile]"), "utf-8")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[tuple[Town, dict[str, str]]]:
    """The item renamed; three grants of another dataset and one of this, by consumer."""
    town, grants = Town(tmp_path), {}
    broker = town.broker()
    city.collect(broker)
    for name, items, last in (("a", "name sex", 9), ("b", "name", 9), ("c", "sex", 0)):
        until = str(TODAY + timedelta(days=last))
        grants[name] = city.grant(broker, name, items, valid_until=until).grant.id
    grants["d"] = city.grant(broker, "d", "name phone", dataset=DATASET).grant.id
    city.relay(broker)
    broker.controller_role().look()
    broker.close()
    town.rename()
    yield town, grants


def states(broker: Broker, grants: dict[str, str], shares: dict[str, str]) -> dict[str, str]:
    return {name: broker.sharing.share(shares[name]).state for name in grants if name != "d"}


def test_rights_are_taken_away_without_the_policy(town: tuple[Town, dict[str, str]]) -> None:
    (place, grants) = town
    broker = place.broker()
    shares = {name: broker.sharing.grant(one).share or "" for name, one in grants.items()}
    for take, name in ((broker.sharing.revoke, "a"), (broker.sharing.suspend, "b")):
        before = broker.sharing.revision()
        outcome = take(grants[name], "r")
        assert outcome.share is None and outcome.decision.refused
        assert outcome.decision.refused.code == "no_grant" and not outcome.decision.released
        assert broker.sharing.revision() != before
        broker.life.advance()
    assert states(broker, grants, shares) == {"a": CLOSED, "b": CLOSED, "c": LIVE}
    assert [broker.sharing.grant(grants[name]).share for name in "ab"] == [None, None]
    assert shares["c"] in {topic.rpartition(".")[2] for topic in broker.log.topics()}
    with pytest.raises(PolicyError, match=PLACE):
        broker.sharing.resume(grants["b"], "r")
    assert broker.sharing.grant(grants["b"]).state == "SUSPENDED"
    with pytest.raises(GrantError, match="no grant"):
        broker.sharing.revoke("g", "r")
    broker.close()


def test_the_controller_closes_what_has_ended_without_the_policy(
    town: tuple[Town, dict[str, str]],
) -> None:
    (place, grants) = town
    broker = place.broker(TODAY + timedelta(days=1))
    shares = {name: broker.sharing.grant(one).share or "" for name, one in grants.items()}
    controller, events = broker.controller_role(), list[Event]()
    controller._emit = events.append
    done = controller.look()
    assert states(broker, grants, shares) == {"a": LIVE, "b": LIVE, "c": CLOSED}
    assert events == [PolicyAway(error="PolicyError")]
    controller.look(controller.look(done))
    broker.sharing.revoke(grants["a"], "r")
    controller.look(done)
    assert states(broker, grants, shares) == {"a": CLOSED, "b": LIVE, "c": CLOSED}
    broker.close()


def test_what_needs_a_decision_names_the_version_and_what_to_do(
    town: tuple[Town, dict[str, str]],
) -> None:
    (place, _) = town
    broker = place.broker()
    needing = (
        lambda: broker.policy,
        broker.sharing.settle,
        broker.sharing.audiences,
        lambda: city.grant(broker, "e", "name"),
        lambda: broker.relay.run_once(broker.catalog.dataset(BASE), broker.sharing.shares),
    )
    for need in needing:
        with pytest.raises(PolicyError, match=PLACE) as refused:
            need()
        said = str(refused.value)
        assert "no item 'phone'" in said and "policy apply" in said and "/tmp" not in said
    assert [one.number for one in broker.versions.all()] == [1] == [broker.versions.newest(TODAY)]
    (found,) = (one for one in examine(broker) if one.check == "policy")
    assert not found.well and "policy version 1, rules/ga.yaml:" in found.found
    assert "policy apply" in found.mend
    broker.close()


def test_two_put_another_version_in_its_place(town: tuple[Town, dict[str, str]]) -> None:
    (place, grants) = town
    broker = place.broker()
    before = broker.sharing.grant(grants["a"]).share
    content, _ = broker.versions.files(TODAY)
    assert broker.sharing.impact(content) == [], "what the shares show is what they will"
    looser = broker.sharing.loosened(content)
    assert [(one.id, one.how) for one in looser] == [("version.1", UNREADABLE)]
    for approver in ("", "o"):
        with pytest.raises(GrantError, match=r"version\.1: it needs another approver"):
            broker.sharing.apply(content, "o", approver, "r")
    assert broker.sharing.apply(content, "o", "p", "r") == 2
    city.relay(broker)
    assert broker.sharing.grant(grants["a"]).share == before
    assert len(broker.sharing.audiences()) == 4
    assert broker.sharing.decision(grants["d"]).effects.keys() >= {"mobile"}
    (found,) = (one for one in examine(broker) if one.check == "policy")
    assert found.well and "version 2" in found.found
    with pytest.raises(PolicyError, match=PLACE):
        broker.sharing.impact(content, 1)
    broker.close()


def test_a_filter_over_an_item_that_is_gone_ends_with_its_grant(tmp_path: Path) -> None:
    town = Town(tmp_path)
    broker = town.broker()
    one = city.grant(broker, "a", "name sex", filter=json.dumps({"eq": {"sex": "1"}}))
    broker.close()
    schema = tmp_path / "own" / "schemas" / "ga" / "resident_base.avsc"
    text = schema.read_text("utf-8")
    schema.write_text(text.replace('"name": "sex"', '"name": "gender"'), "utf-8")
    broker = town.broker()
    with pytest.raises(PolicyError, match=f"filter of grant {one.grant.id}"):
        broker.sharing.grants()
    broker.sharing.revoke(one.grant.id, "r")
    (left,) = broker.sharing.grants()
    assert left.state == "TERMINATED" and left.share is None
    broker.close()
