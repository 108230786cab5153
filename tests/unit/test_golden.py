"""What an earlier version wrote is read by this one, and means what it meant: for ever."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.keyring import Keyring
from broker.log.interface import Stored
from broker.log.topics import partition_of
from broker.model import Level
from broker.projection.avro import Codec
from broker.pseudonym import Pseudonyms, keyed_hash
from broker.quarantine import Quarantine
from broker.registry import frame, unframe
from broker.relay.position import Common
from broker.seal import Sealer
from connectors.ownership import Owned
from tests import city
from tests.golden.make import NOW

FOLDER = Path(__file__).parents[1] / "golden"
FILES = sorted(FOLDER.glob("*.json"))


@pytest.fixture(params=FILES, ids=[one.stem for one in FILES])
def golden(request: pytest.FixtureRequest) -> Any:
    return json.loads(request.param.read_text("utf-8"))


@pytest.fixture
def keyring(golden: Any, tmp_path: Path) -> Keyring:
    path = tmp_path / "keyring.json"
    path.touch(0o600)
    path.write_text(json.dumps(golden["keyring"]), "utf-8")
    return Keyring.open(path)


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text)


def collected(golden: Any, keyring: Keyring) -> dict[bytes, dict[str, Any]]:
    """The records that stand in the collected topic, by key."""
    sealer, codec = Sealer(keyring), Codec(golden["schema"])
    topic = f"collected.{golden['dataset']}"
    return {
        bytes_of(one["key"]): codec.decode(
            sealer.open(topic, bytes_of(one["key"]), bytes_of(one["sealed"])).body
        )
        for one in golden["collected"]
    }


def test_there_is_something_to_read() -> None:
    assert FILES


def test_sealed_records_open_and_say_what_they_said(golden: Any, keyring: Keyring) -> None:
    found = collected(golden, keyring)
    assert len(found) == 3
    assert sorted(one["name"] for one in found.values()) == golden["names"]
    assert sorted(one["id_no"] for one in found.values()) == golden["id_numbers"]


def test_what_is_sealed_today_has_the_same_form(golden: Any, keyring: Keyring) -> None:
    """By the envelope as it is documented, without the product's own reader."""
    topic = f"collected.{golden['dataset']}"
    key = bytes_of(golden["collected"][0]["key"])
    before = bytes_of(golden["collected"][0]["sealed"])
    body = by_hand(keyring, topic, key, before)
    today = Sealer(keyring).seal(topic, key, int.from_bytes(before[1:5], "big"), body)
    assert body and today[:5] == before[:5] and today[5:17] != before[5:17]
    assert by_hand(keyring, topic, key, today) == body and len(today) == len(before)


def by_hand(keyring: Keyring, topic: str, key: bytes, sealed: bytes) -> bytes:
    """Version and schema id, nonce, ciphertext; bound to topic and key. Nothing where it does
    not open."""
    bound = sealed[:5] + len(topic).to_bytes(2, "big") + topic.encode() + key
    with suppress(InvalidTag):
        return AESGCM(keyring.key("seal")).decrypt(sealed[5:17], sealed[17:], bound)
    return b""


def test_a_key_lies_in_the_partition_that_it_lay_in(golden: Any) -> None:
    """Else a later version of a record would stand beside the earlier, in another partition."""
    for one in golden["collected"]:
        assert partition_of(bytes_of(one["key"]), 4) == one["partition"]


def test_a_row_is_known_again(golden: Any, keyring: Keyring, tmp_path: Path) -> None:
    """By its key and its hash; else it would be collected a second time."""
    city.use_mapping(tmp_path)
    (tmp_path / "keyring.json").unlink(missing_ok=True)
    with city.city(tmp_path) as broker:
        dataset = broker.catalog.dataset(golden["dataset"])
        secret = keyring.key(f"record.{dataset.id}")
        broker.__dict__["keyring"] = keyring
        city.put(
            city.county(tmp_path, "371502"),
            *(city.resident(n, NOW) for n in range(3)),
        )
        broker.log.create_topics({dataset.collected_topic: dataset.partitions})
        assert broker.dataset_key("record", dataset) == secret
        city.collect(broker)
        partitions = range(dataset.partitions)
        keys = {
            stored.key
            for partition in partitions
            for stored in broker.log.read(dataset.collected_topic, partition, 0, 99)
        }
        owners = {
            key: value
            for partition in partitions
            for key, value in broker.log.entries(f"owners.{dataset.id}", partition, keys).items()
        }
    assert keys == {bytes_of(one["key"]) for one in golden["collected"]}
    assert owners == {bytes_of(key): bytes_of(one) for key, one in golden["owners"].items()}


def test_a_share_is_what_it_was(golden: Any, keyring: Keyring) -> None:
    """Frame, Avro, record keys and pseudonyms."""
    share = golden["share"]
    before = collected(golden, keyring)
    key = keyring.key(f"share.{share['id']}")
    pseudonyms = Pseudonyms(keyring.key(f"pseudonym.{share['domain']}"))
    wanted = {keyed_hash(key, one): record for one, record in before.items()}
    assert {bytes_of(one["key"]) for one in golden["shared"]} == set(wanted)
    codec = Codec(share["schema"])
    for one in golden["shared"]:
        schema_id, body = unframe(bytes_of(one["value"]))
        record, was = codec.decode(body), wanted[bytes_of(one["key"])]
        assert schema_id == share["schema_id"]
        assert record == {
            "id_no__pseudonym": pseudonyms.of(was["id_no"]),
            "name__surname": f"{was['name'][0]}**",
            "birth_date__year": was["birth_date"].year,
        }
        assert frame(schema_id, codec.encode(record)) == bytes_of(one["value"])


def test_a_share_of_the_same_decision_has_the_same_schema(
    golden: Any, keyring: Keyring, tmp_path: Path
) -> None:
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "id_no name birth_date", tier=Level.L2)
        assert one.share and one.share.schema == golden["share"]["schema"]


def test_positions_are_what_they_were(golden: Any, keyring: Keyring) -> None:
    name = golden["position"]["name"]
    opened = Sealer(keyring).open(name, b"", bytes_of(golden["position"]["sealed"]))
    assert json.loads(opened.body)["high"] == "2026-06-01T08:00:00+08:00"
    relayed = [bytes_of(one) for one in golden["relayed"].values()]
    places = [Common.unpack(one) for one in relayed]
    assert [place.pack() for place in places] == relayed
    assert sum(place.offset for place in places) == 3
    assert {place.year for place in places} == {2026}


def test_owners_are_who_they_were(golden: Any) -> None:
    stored = [bytes_of(one) for one in golden["owners"].values()]
    owners = [Owned.unpack(one) for one in stored]
    assert [one.pack() for one in owners] == stored
    assert {one.source for one in owners} == {golden["position"]["name"].split(".")[-1]}
    assert all(one.hash for one in owners)


def test_what_was_set_aside_can_be_read(golden: Any, keyring: Keyring, tmp_path: Path) -> None:
    aside = golden["quarantined"]
    with city.city(tmp_path) as broker:
        quarantine = Quarantine(broker.catalog.dataset(golden["dataset"]), Sealer(keyring))
    entry = quarantine.open(Stored(0, bytes_of(aside["key"]), bytes_of(aside["sealed"]), 0))
    assert (entry.reason, entry.source) == (aside["reason"], aside["source"])
    assert entry.back.cells and entry.back.place
