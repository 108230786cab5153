"""The registry's writing side: what clients ask before they produce, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.serving import Served, live, served

OTHER = {"type": "record", "name": "other", "fields": [{"name": "x", "type": "int"}]}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, 5) as found:
        yield found


def registry(web: Served, consumer: str) -> SchemaRegistryClient:
    key = web.broker.api_keys.add(consumer)
    return SchemaRegistryClient({"url": web.url, "basic.auth.user.info": f"{consumer}:{key}"})


def code(error: pytest.ExceptionInfo[SchemaRegistryError]) -> tuple[int, int]:
    return error.value.http_status_code, error.value.error_code


def test_an_ordinary_client_reads_looks_up_and_registers_what_stands(web: Served) -> None:
    share = live(web.broker, "a").share
    assert share
    client, subject = registry(web, "a"), f"{share.topic}-value"
    assert client.get_subjects() == [subject] and client.get_versions(subject) == [1]
    newest = client.get_latest_version(subject)
    same = Schema(newest.schema.schema_str, "AVRO")
    assert json.loads(newest.schema.schema_str) == share.schema
    assert client.lookup_schema(subject, same).schema_id == share.schema_id
    assert client.register_schema(subject, same) == share.schema_id
    assert client.test_compatibility(subject, same) is True
    assert client.get_compatibility(subject) == "FULL"
    decode = AvroDeserializer(client)
    record = next(one for n in range(4) for one in web.broker.log.read(share.topic, n, 0, 1))
    value = decode(record.value, SerializationContext(share.topic, MessageField.VALUE))
    assert set(value) == {field["name"] for field in share.schema["fields"]}


def test_compatibility_is_told_by_the_rules_of_avro(web: Served) -> None:
    share = live(web.broker, "a").share
    assert share
    client, subject = registry(web, "a"), f"{share.topic}-value"

    def told(schema: dict[str, Any]) -> bool:
        return bool(client.test_compatibility(subject, Schema(json.dumps(schema), "AVRO")))

    field = {"name": "more", "type": ["null", "string"], "default": None}
    wider = {**share.schema, "fields": [*share.schema["fields"], field]}
    assert told(wider) is True
    must = {"name": "more", "type": "int"}
    assert told({**wider, "fields": [*share.schema["fields"], must]}) is False
    assert told(OTHER) is False


def test_nobody_writes_and_every_refusal_is_the_registrys(web: Served) -> None:
    share = live(web.broker, "a").share
    other = live(web.broker, "b", "sex").share
    assert share and other
    client, subject = registry(web, "a"), f"{share.topic}-value"
    fresh = Schema(json.dumps(OTHER), "AVRO")
    with pytest.raises(SchemaRegistryError) as error:
        client.register_schema(subject, fresh)
    assert code(error) == (403, 40302)
    with pytest.raises(SchemaRegistryError) as error:
        client.lookup_schema(subject, fresh)
    assert code(error) == (404, 40403)
    with pytest.raises(SchemaRegistryError) as error:
        client.set_compatibility(subject, "NONE")
    assert code(error) == (403, 40302)
    with pytest.raises(SchemaRegistryError) as error:
        client.delete_subject(subject)
    assert code(error) == (403, 40302)
    same = Schema(json.dumps(other.schema), "AVRO")
    for strange in (f"{other.topic}-value", "nothing-value"):
        with pytest.raises(SchemaRegistryError) as error:
            client.lookup_schema(strange, same)
        assert code(error) == (404, 40401)
        with pytest.raises(SchemaRegistryError) as error:
            client.register_schema(strange, same)
        assert code(error) == (403, 40302)


def test_what_tools_ask_is_answered_in_the_registrys_words(web: Served) -> None:
    mine, other = live(web.broker, "a").share, live(web.broker, "b", "sex").share
    assert mine and other
    client, subject = web.client("a"), f"{mine.topic}-value"
    strange = f"{other.topic}-value"
    for asked in ("abc", "0", "-2", "1.0", "2147483648", "9" * 5_000):
        refused(client.get(f"/subjects/{subject}/versions/{asked}"), 422, 42202)
    for asked in ("2", "2147483647"):
        refused(client.get(f"/subjects/{subject}/versions/{asked}"), 404, 40402)
    level = {"compatibilityLevel": "FULL"}
    assert client.get(f"/config/{subject}").json() == client.get("/config").json() == level
    for name in (strange, "nothing-value"):
        refused(client.get(f"/config/{name}"), 404, 40408)
        refused(client.get(f"/config/{name}", params={"defaultToGlobal": "false"}), 404, 40408)
        assert client.get(f"/config/{name}", params={"defaultToGlobal": "true"}).json() == level
    assert client.get("/subjects", params={"subjectPrefix": "shared.ga."}).json() == [subject]
    assert client.get("/subjects", params={"subjectPrefix": "other"}).json() == []
    by_id = f"/schemas/ids/{mine.schema_id}"
    more = {"subject": strange, "fetchMaxId": "true", "format": "", "normalize": "False"}
    assert client.get(by_id, params=more).json() == client.get(by_id).json()
    for method, path in (
        ("GET", "/schemas/nowhere"), ("GET", "/subjects/x/y/z"), ("PATCH", "/subjects"),
        ("POST", "/associations/resources/-/x"), ("GET", "/mode/x/y"),
    ):  # fmt: skip
        answer = client.request(method, path)
        assert answer.status_code in (404, 405), path
        assert set(answer.json()) == {"error_code", "message"}, path
    nobody = web.with_key("").get("/subjects")
    assert nobody.status_code == 401 and set(nobody.json()) == {"error_code", "message"}


def refused(answer: Any, status: int, error: int) -> None:
    assert answer.status_code == status and answer.json()["error_code"] == error, answer.text
    assert set(answer.json()) == {"error_code", "message"}


def test_clients_of_either_age_find_the_subject(web: Served) -> None:
    """New ones ask first which subject is tied to the topic; older ones take its name."""
    share = live(web.broker, "a").share
    assert share
    client = registry(web, "a")
    assert client.get_associations_by_resource_name(share.topic, "-", "topic", ["value"]) == []
    record = next(one for n in range(4) for one in web.broker.log.read(share.topic, n, 0, 1))
    for strategy in ("TOPIC", "ASSOCIATED"):
        decode = AvroDeserializer(client, conf={"subject.name.strategy.type": strategy})
        value = decode(record.value, SerializationContext(share.topic, MessageField.VALUE))
        assert set(value) == {"name", "sex"}, strategy
    java = {**share.schema, "name": f"{share.schema['namespace']}.{share.schema['name']}"}
    del java["namespace"]
    asked = Schema(json.dumps(java), "AVRO")
    found = client.lookup_schema(f"{share.topic}-value", asked, normalize_schemas=True)
    assert found.schema_id == share.schema_id, "written down in another way it is the same"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"schema": 1}', b'{"schema": "{"}', b'{"schema": "\\"nonsense\\""}',
        b'{"schema": "\\"int\\"", "schemaType": "JSON"}', b"\xff", b"x" * (1 << 21),
        json.dumps({"schema": "[" * 3000 + "]" * 3000}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_schema_is_refused(web: Served, body: bytes) -> None:
    share = live(web.broker, "a").share
    assert share
    client = web.client("a")
    for path in ("/subjects/{}", "/subjects/{}/versions", "/compatibility/subjects/{}/versions/1"):
        answer = client.post(path.format(f"{share.topic}-value"), content=body)
        assert answer.status_code == 422 and answer.json()["error_code"] == 42201, path


def test_nothing_is_answered_without_a_key(web: Served) -> None:
    nobody = web.with_key("")
    for method, path in (
        ("POST", "/subjects/x"), ("POST", "/subjects/x/versions"), ("PUT", "/config"),
        ("POST", "/compatibility/subjects/x/versions/1"), ("DELETE", "/subjects/x"),
        ("PUT", "/mode"), ("DELETE", "/subjects/x/versions/1"),
    ):  # fmt: skip
        answer = nobody.request(method, path, json={"schema": '"int"'})
        assert answer.status_code == 401 and answer.json()["error_code"] == 40101, path
