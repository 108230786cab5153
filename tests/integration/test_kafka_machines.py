"""Two machines on one Kafka and one PostgreSQL: each has its own state folder, both the keyring."""

from collections.abc import Callable
from pathlib import Path

import pytest

from broker.sharing.share import CLOSED
from tests import city, recompute
from tests.faults.ordeal import Load
from tests.faults.test_kafka_nodes import exact, shows
from tests.faults.test_processes import people, process, until

PEOPLE = 30


def test_two_machines_share_the_work(
    on_kafka: Callable[[str], None],
    on_postgres: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one collects and decides, the other relays; either gives and revokes."""
    on_kafka("librdkafka")
    on_postgres()
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.setenv("SHUQIAO_KEYRING", str(tmp_path / "shared" / "keyring.json"))
    people(here, PEOPLE)
    load = Load(here, PEOPLE)
    with (
        city.city(here) as one,
        city.city(there) as other,
        process(here, "connect", "run", "--follow") as connect,
        process(here, "controller") as controller,
        process(there, "relay", "--follow") as relay,
    ):
        given = city.grant(one, "a", "name")
        also = city.grant(other, "b", "sex")
        assert given.share and also.share
        until(lambda: len(recompute.held(other, given)) == PEOPLE, 40)
        until(lambda: len(recompute.held(one, also)) == PEOPLE, 40)
        load.change()
        until(shows(other, given, load.turns), 30)
        other.sharing.revoke(given.grant.id, "r")
        until(lambda: one.sharing.share(given.share.id).state == CLOSED, 20)
        assert f"share.{given.share.id}" not in one.settings.keyring_path.read_text("utf-8")
        assert exact(one) and exact(other)
        assert all(role.poll() is None for role in (connect, controller, relay))
    assert not list(here.glob("keyring*")) and not list(there.glob("keyring*"))
