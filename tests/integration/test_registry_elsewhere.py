"""Schemas published in a registry elsewhere: its ids in the frames, waiting while it is away."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from broker.bootstrap import Broker
from broker.cli.relay import relay_all
from broker.doctor import examine
from broker.errors import RegistryAway, RegistryError, SettingsError
from broker.external_registry import ExternalRegistry, RegistryAddress
from broker.registry import unframe
from broker.roles import run_roles
from broker.sharing.share import LIVE, OPENING
from broker.web.rights import Rights
from tests import city
from tests.elsewhere import FIRST, Elsewhere, elsewhere, subject_of
from tests.serving import NOW, certificate, live, served

COLLECTED = "collected.ga.resident_base-value"
SCHEMA = {"type": "record", "name": "a", "fields": [{"name": "x", "type": "int"}]}


@pytest.fixture
def there() -> Iterator[Elsewhere]:
    with elsewhere() as found:
        yield found


@pytest.fixture
def broker(tmp_path: Path, there: Elsewhere) -> Iterator[Broker]:
    city.fill(tmp_path, range(5), NOW)
    with city.city(tmp_path, registry_url=f"{there.url}/") as made:
        city.collect(made, limit=100)
        yield made


def step(broker: Broker) -> None:
    assert broker.publisher
    broker.publisher.step()


def ids(broker: Broker, topic: str) -> set[int]:
    """The schema ids in the frames of a topic."""
    values = [
        one.value
        for partition in range(broker.log.topics()[topic])
        for one in broker.log.read(topic, partition, 0, 1_000)
    ]
    return {unframe(value)[0] for value in values if value is not None}


def test_the_frames_carry_the_ids_of_the_registry_that_schemas_stand_in(
    broker: Broker, there: Elsewhere
) -> None:
    asked = city.grant(broker, "a", "name sex").share
    assert asked and not asked.published
    step(broker)
    city.relay(broker)
    share = broker.sharing.share(asked.id)
    assert share.state == LIVE and share.schema_id >= FIRST
    assert there.subjects[subject_of(share.topic)] == [share.schema_id]
    assert ids(broker, share.topic) == {share.schema_id}
    client = SchemaRegistryClient({"url": there.url})
    decode = AvroDeserializer(client)
    stored = [one for n in range(4) for one in broker.log.read(share.topic, n, 0, 9)]
    values = [decode(one.value, SerializationContext(share.topic, MessageField.VALUE))
              for one in stored]  # fmt: skip
    assert len(values) == 5 and {name for one in values for name in one} == {"name", "sex"}


def test_equal_schemas_have_one_id_and_collected_topics_have_their_subject(
    broker: Broker, there: Elsewhere
) -> None:
    one = city.grant(broker, "a", "name sex", scope="371502").share
    two = city.grant(broker, "b", "name sex", scope="371503").share
    step(broker)
    assert one and two
    assert len({broker.sharing.share(share.id).schema_id for share in (one, two)}) == 1
    (number,) = there.subjects[COLLECTED]
    kept = json.loads(there.schemas[number])
    assert [field["name"] for field in kept["fields"]] == [
        item.name for item in broker.catalog.dataset("ga.resident_base").items
    ]
    assert not [name for name in there.subjects if "quarantine" in name or "mz." in name]
    before = len(there.asked)
    step(broker)
    assert len(there.asked) == before, "what stands is not published again"


def test_a_share_waits_while_the_registry_is_away_and_opens_when_it_is_back(
    broker: Broker, there: Elsewhere, capsys: pytest.CaptureFixture[str]
) -> None:
    there.away = True
    share = city.grant(broker, "a", "name sex").share
    assert share
    relay_all(broker)
    told = capsys.readouterr().out
    assert "503" in told and "a secret of its own" not in told and "等待" in told
    assert share.topic not in broker.log.topics()
    assert broker.sharing.share(share.id).state == OPENING
    assert f"share.{share.id}" not in broker.settings.keyring_path.read_text("utf-8")
    found = [one for one in examine(broker) if one.check == "registry"]
    assert [one.well for one in found] == [False, False]
    there.away = False
    relay_all(broker)
    assert broker.sharing.share(share.id).state == LIVE and len(ids(broker, share.topic)) == 1
    assert all(one.well for one in examine(broker) if one.check == "registry")


def test_a_stale_view_of_a_share_writes_no_frame(broker: Broker) -> None:
    """A relay that read the shares before one was published finds its topic a moment later."""
    dataset = broker.catalog.dataset("ga.resident_base")
    assert city.grant(broker, "a", "name sex").share
    stale = broker.sharing.shares(dataset.id)
    assert [one.published for one in stale] == [False]
    step(broker)
    broker.life.provision()
    for partition in range(dataset.partitions):
        broker.relay.step(dataset, partition, lambda: stale)
    (fresh,) = broker.sharing.shares(dataset.id)
    assert broker.log.topics()[fresh.topic] and ids(broker, fresh.topic) == set()
    city.relay(broker)
    assert ids(broker, fresh.topic) == {fresh.schema_id}


def test_closing_deletes_the_subject_and_waits_for_no_registry(
    broker: Broker, there: Elsewhere
) -> None:
    outcome = city.grant(broker, "a", "name sex")
    step(broker)
    city.relay(broker)
    assert outcome.share
    name, topic = outcome.share.id, outcome.share.topic
    there.away = True
    broker.sharing.revoke(outcome.grant.id, "over")
    assert broker.life.advance() == [name] and topic not in broker.log.topics()
    with pytest.raises(RegistryError):
        step(broker)
    assert subject_of(topic) in there.subjects
    there.away = False
    step(broker)
    assert subject_of(topic) not in there.subjects | there.deleted and COLLECTED in there.subjects
    before = len(there.asked)
    step(broker)
    assert len(there.asked) == before, "and is not asked for again"


def test_what_ends_between_publishing_and_noting_leaves_no_subject(
    broker: Broker, there: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = city.grant(broker, "a", "name sex")
    assert outcome.share
    publish = broker.elsewhere.publish

    def killed(subject: str, schema: dict[str, Any]) -> int:
        publish(subject, schema)
        raise KeyboardInterrupt

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(broker.elsewhere, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            step(broker)
    assert subject_of(outcome.share.topic) in there.subjects
    broker.sharing.revoke(outcome.grant.id, "over")
    step(broker)
    assert subject_of(outcome.share.topic) not in there.subjects | there.deleted


def test_another_registry_means_another_share_and_the_old_is_read_until_then(
    tmp_path: Path, there: Elsewhere
) -> None:
    city.fill(tmp_path, range(5), NOW)
    with city.city(tmp_path) as before:
        city.collect(before, limit=100)
        old = live(before, "a").share
        assert old and old.schema_id < FIRST
    there.away = True
    with city.city(tmp_path, registry_url=there.url) as broker:
        relay_all(broker)
        assert broker.sharing.share(old.id).state == LIVE, "nothing is taken for it"
        there.away = False
        relay_all(broker)
        relay_all(broker)
        (new,) = broker.sharing.shares("ga.resident_base")
        assert new.id != old.id and new.schema_id >= FIRST and new.state == LIVE
        assert ids(broker, new.topic) == {new.schema_id}
        assert old.topic not in broker.log.topics()
    with city.city(tmp_path) as again:
        relay_all(again)
        relay_all(again)
        (back,) = again.sharing.shares("ga.resident_base")
        assert ids(again, back.topic) == {old.schema_id}
        first, *rest = [one for one in examine(again) if one.check == "registry"]
        assert f"2 subjects may still stand in {there.url}" in first.found and first.mend
        assert [one.found for one in rest] == ["our own"]


def test_a_refusal_of_one_subject_keeps_no_other_from_it(
    broker: Broker, there: Elsewhere, tmp_path: Path
) -> None:
    share = city.grant(broker, "a", "name sex").share
    assert share
    there.refuses = {"collected.": (409, 409)}
    with pytest.raises(RegistryError) as error:
        step(broker)
    assert "409" in str(error.value) and COLLECTED in str(error.value)
    assert "a secret of its own" not in str(error.value)
    city.relay(broker)
    assert broker.sharing.share(share.id).state == LIVE


@pytest.mark.parametrize(
    "instead",
    [
        '"int"', "{", '["null"]',
        '{"type": "record", "name": "a", "fields": [{"name": "x", "type": "long"}]}',
        '{"type": "record", "name": "b", "fields": [{"name": "x", "type": "int"}]}',
        '{"type": "record", "name": "a", "fields": [{"name": "x", "type":'
        ' {"type": "int", "logicalType": "date"}}]}',
        '{"type": "record", "name": "a", "fields": [{"name": "x", "type": ["int", "null"]}]}',
    ],
)  # fmt: skip
def test_an_id_is_taken_only_where_ours_stands_under_it(there: Elsewhere, instead: str) -> None:
    registry = ExternalRegistry(RegistryAddress(there.url))
    assert registry.publish("s-value", SCHEMA) == registry.publish("s-value", SCHEMA) == FIRST
    there.keeps_instead = instead
    with pytest.raises(RegistryError, match="another schema"):
        registry.publish("s-value", SCHEMA)
    registry.close()


def test_a_setting_that_cannot_be_used_takes_no_right_from_revoking(
    tmp_path: Path, there: Elsewhere, capsys: pytest.CaptureFixture[str]
) -> None:
    city.fill(tmp_path, range(5), NOW)
    with city.city(tmp_path, registry_url=there.url) as broker:
        city.collect(broker, limit=100)
        outcome, waiting = city.grant(broker, "a", "name sex"), None
        step(broker)
        city.relay(broker)
        waiting = city.grant(broker, "b", "sex")
    lost = {"registry_url": there.url, "registry_password_file": tmp_path / "lost"}
    with city.city(tmp_path, **lost) as broker:
        relay_all(broker)
        assert "registry_password_file" in capsys.readouterr().out
        for one in (outcome, waiting):
            assert one.share
            broker.sharing.revoke(one.grant.id, "over")
            assert broker.life.advance() == [one.share.id], "also one that never opened"
        *_, found = [one for one in examine(broker) if one.check == "registry"]
        assert not found.well and "password" in found.found


@pytest.mark.parametrize(
    "says",
    [b"", b"<html>", b"[]", b"{}", b'{"id": "7"}', b'{"id": true}', b'{"id": 0}',
     b'{"id": 2147483648}', b"[" * 5_000, b" " * (1 << 21)],
)  # fmt: skip
def test_what_is_no_registry_gives_no_id(there: Elsewhere, says: bytes) -> None:
    there.says = says
    registry = ExternalRegistry(RegistryAddress(there.url))
    with pytest.raises(RegistryError, match="no schema registry"):
        registry.publish("s-value", SCHEMA)
    registry.close()


def test_who_asks_is_said_and_a_wrong_password_is_told(tmp_path: Path) -> None:
    cert = certificate(tmp_path)
    with elsewhere("shuqiao", "right", cert) as there:
        registry = ExternalRegistry(RegistryAddress(there.url, "shuqiao", "right", cert[0]))
        assert registry.publish("s-value", SCHEMA) == FIRST
        registry.withdraw("s-value")
        registry.withdraw("s-value")
        registry.reach()
        registry.close()
        wrong = RegistryAddress(there.url, "shuqiao", "wrong", cert[0])
        assert "wrong" not in repr(wrong)
        with pytest.raises(RegistryError, match="401") as error:
            ExternalRegistry(wrong).reach()
        assert "registry_user" in str(error.value)
        with pytest.raises(RegistryAway, match="registry_ca"):
            ExternalRegistry(RegistryAddress(there.url, "shuqiao", "right")).reach()


@pytest.mark.parametrize(
    "url",
    ["http://registry.example:8081", "http://10.0.0.1", "ftp://127.0.0.1", "registry", "http://",
     "https://u:p@registry.example", "https://registry.example?x=1", "http://127.0.0.1:x"],
)  # fmt: skip
def test_plain_text_to_another_machine_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="registry_url") as error:
        ExternalRegistry(RegistryAddress(url))
    assert "u:p" not in str(error.value)


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RegistryAway, match="cannot be reached"):
        ExternalRegistry(RegistryAddress("http://127.0.0.1:9")).reach()
    with pytest.raises(SettingsError, match="registry_ca"):
        ExternalRegistry(RegistryAddress("https://127.0.0.1:9", authority=tmp_path / "none"))


def test_the_roles_publish_and_say_why_a_share_waits(broker: Broker, there: Elsewhere) -> None:
    there.away = True
    told: list[tuple[str, str]] = []
    stop = threading.Event()
    roles = [*broker.controlling(), broker.relay_role()]
    assert [one.name for one in roles] == ["controller", "publisher", "relay"]
    thread = threading.Thread(
        target=run_roles,
        args=(roles, stop, broker.telemetry.emit, lambda role, words: told.append((role, words))),
    )
    thread.start()
    try:
        share = city.grant(broker, "a", "name sex").share
        assert share
        city.until(lambda: [words for role, words in told if role == "publisher"], 10)
        assert {role for role, _ in told} == {"publisher"} and "503" in told[0][1]
        assert broker.sharing.share(share.id).state == OPENING
        there.away = False
        city.until(lambda: broker.sharing.share(share.id).state == LIVE, 30)
        assert len(ids(broker, share.topic)) == 1
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_our_own_registry_answers_with_the_same_ids(
    tmp_path: Path, there: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUQIAO_REGISTRY_URL", there.url)
    with served(tmp_path, 5) as web:
        waiting = city.grant(web.broker, "a", "name sex").share
        assert waiting
        client = web.client("a")
        assert client.get("/subjects").json() == []
        assert client.get("/schemas/ids/0").json()["error_code"] == 40403
        assert client.get(f"/subjects/{waiting.topic}-value/versions").status_code == 404
        answer = client.get("/v1/datasets/ga.resident_base/records")
        assert answer.status_code == 503, "it is being prepared, not refused"
        step(web.broker)
        city.relay(web.broker)
        share = web.broker.sharing.share(waiting.id)
        found = client.get(f"/schemas/ids/{share.schema_id}").json()
        assert json.loads(found["schema"]) == share.schema and share.schema_id >= FIRST


def test_one_id_for_two_schemas_is_answered_of_a_subject_alone(
    tmp_path: Path, there: Elsewhere
) -> None:
    city.fill(tmp_path, range(5), NOW)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=100)
        live(broker, "a")
        city.grant(broker, "a", "permit_no issue_date", dataset="ga.residence_permit")
        one, two = broker.sharing.shares()
        same = [
            _with_id(one, 7),
            _with_id(two, 7),
        ]
        rights = Rights(broker.sharing, broker.api_keys, broker.catalog)
        rights.shares = lambda key: same  # type: ignore[method-assign]
        from fastapi.testclient import TestClient

        from broker.web.app import build_app
        from broker.web.registry_api import registry_router

        app = build_app([registry_router(lambda: None, rights)], lambda event: None, "1")
        client = TestClient(app)
        for share in same:
            found = client.get("/schemas/ids/7", params={"subject": f"{share.topic}-value"}).json()
            assert json.loads(found["schema"]) == share.schema
        refused = client.get("/schemas/ids/7")
        assert refused.status_code == 404 and refused.json() == {
            "error_code": 40403, "message": "Schema not found",
        }  # fmt: skip


def _with_id(share: Any, number: int) -> Any:
    from dataclasses import replace

    return replace(share, schema_id=number)
