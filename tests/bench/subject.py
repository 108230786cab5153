"""What the figures of the path are about: records of 15 fields and some 240 bytes, of which a
share keeps six, masks five (one of them a pseudonym) and drops four.

They are sealed straight into the collected topic, so that each step is measured by itself.
"""

import json
import shutil
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.log.interface import Batch, Run
from broker.log.topics import partition_of
from broker.model import Level
from broker.policy.model import Consumer
from broker.projection.avro import Codec
from broker.pseudonym import KeyedHash, keyed_hash
from broker.sharing import grants as ledger
from broker.sharing.application import Application
from broker.sharing.share import Share
from tests import city

DATASET = "ga.person"
ITEMS = "id_no name phone birth_date hukou_addr sex status category team household overdue"
"""What a consumer asks for: with tier T2 five of these are masked; four fields are left out."""

_AT_ONCE = 5_000
_DATE = {"type": "int", "logicalType": "date"}
_FIELDS: tuple[tuple[str, Any, str, str], ...] = (
    ("id_no", "string", "citizen_id", "L3"),
    ("name", "string", "person_name", "L3"),
    ("phone", ["null", "string"], "phone", "L3"),
    ("birth_date", ["null", _DATE], "birth_date", "L3"),
    ("hukou_addr", ["null", "string"], "address", "L3"),
    ("sex", ["null", "string"], "code", "L2"),
    ("status", ["null", "string"], "code", "L2"),
    ("category", ["null", "string"], "code", "L2"),
    ("team", ["null", "string"], "code", "L2"),
    ("household", "int", "count", "L2"),
    ("overdue", ["null", "boolean"], "flag", "L2"),
    ("cert_no", ["null", "string"], "identifier", "L4"),
    ("bank_account", ["null", "string"], "identifier", "L4"),
    ("division_code", "string", "division_code", "L1"),
    ("updated_at", {"type": "long", "logicalType": "timestamp-millis"}, "date_time", "L1"),
)


def _schema() -> dict[str, Any]:
    known = json.loads((city.ROOT / "schemas/ga/resident_base.avsc").read_text("utf-8"))
    fields = [
        {"name": name, "type": avro, "title": name, "kind": kind, "level": level,
         "concept": f"ga.person.{name}"}
        | ({"default": None} if isinstance(avro, list) else {})
        for name, avro, kind, level in _FIELDS
    ]  # fmt: skip
    return {**known, "name": "person", "title": "测量用", "fields": fields}


@contextmanager
def place(folder: Path, **settings: Any) -> Iterator[Broker]:
    """A city in the folder whose catalogue has the dataset as well."""
    schemas = folder / "catalogue"
    if not schemas.exists():
        shutil.copytree(city.ROOT / "schemas", schemas)
        text = json.dumps(_schema(), ensure_ascii=False)
        (schemas / "ga" / "person.avsc").write_text(text, "utf-8")
    with city.city(folder, schemas=schemas, **settings) as broker:
        yield broker


def record(number: int, village: str, address: str) -> dict[str, Any]:
    """An invented person."""
    born = date(1950 + number % 50, 1 + number % 12, 1 + number % 28)
    return {
        "id_no": city.id_number(number, born),
        "name": f"张测{number % 1000}",
        "phone": f"139{number % 100_000_000:08d}",
        "birth_date": born,
        "hukou_addr": f"{address}{number % 90}号楼",
        "sex": "12"[number % 2],
        "status": "normal",
        "category": f"c{number % 7}",
        "team": f"t{number % 40}",
        "household": number % 6,
        "overdue": number % 3 == 0,
        "cert_no": f"Z{number:011d}",
        "bank_account": f"6222{number:015d}",
        "division_code": village,
        "updated_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
    }


class Sealed:
    """Records of so many people, sealed, by partition; to be appended as often as one likes."""

    def __init__(
        self, broker: Broker, people: int, villages: Sequence[str], plain: bool = False
    ) -> None:
        """`plain`: not sealed, for a peer that opens nothing."""
        self.dataset = broker.catalog.dataset(DATASET)
        self._log = broker.log
        self._log.create_topics({self.dataset.collected_topic: self.dataset.partitions})
        schema_id = broker.registry.schema_id(self.dataset.schema)
        codec, topic = Codec(self.dataset.schema), self.dataset.collected_topic
        addresses = {
            one: "".join(each.name for each in broker.divisions.path(one)) for one in villages
        }
        self._keys: list[list[bytes]] = [[] for _ in range(self.dataset.partitions)]
        self._values: list[list[bytes | None]] = [[] for _ in range(self.dataset.partitions)]
        self.bodies: list[bytes] = []
        self.people = people
        self._people: list[list[int]] = [[] for _ in range(self.dataset.partitions)]
        for number in range(people):
            village = villages[number % len(villages)]
            body = codec.encode(record(number, village, addresses[village]))
            key = keyed_hash(b"k" * 32, number.to_bytes(8, "big"))
            partition = partition_of(key, self.dataset.partitions)
            self._people[partition].append(number)
            self._keys[partition].append(key)
            sealed = body if plain else broker.sealer.seal(topic, key, schema_id, body)
            self._values[partition].append(sealed)
            if number < _AT_ONCE:
                self.bodies.append(body)

    @property
    def counts(self) -> list[int]:
        """Records by partition."""
        return [len(keys) for keys in self._keys]

    def change(self, people: Sequence[range]) -> None:
        """Those once more, in one commit."""
        topic = self.dataset.collected_topic
        runs = [
            Run(topic, partition, self._keys[partition][some], self._values[partition][some])
            for one in people
            for partition, some in self._places(one)
        ]
        self._log.commit(Batch(runs=runs))

    def share_keys(self, broker: Broker, share: Share) -> list[bytes]:
        """Under which key the share has each of the people."""
        hashed = KeyedHash(broker.keyring.key(f"share.{share.id}"))
        found = [b""] * self.people
        for numbers, keys in zip(self._people, self._keys, strict=True):
            for number, key in zip(numbers, hashed.all(keys), strict=True):
                found[number] = key
        return found

    def _places(self, people: range) -> Iterator[tuple[int, slice]]:
        """By partition, where in it they stand: beside each other."""
        for partition, mine in enumerate(self._people):
            start, stop = bisect_left(mine, people.start), bisect_left(mine, people.stop)
            if start < stop:
                yield partition, slice(start, stop)

    def append(self) -> None:
        """All of them, once more."""
        topic = self.dataset.collected_topic
        for partition, keys in enumerate(self._keys):
            for start in range(0, len(keys), _AT_ONCE):
                some = slice(start, start + _AT_ONCE)
                run = Run(topic, partition, keys[some], self._values[partition][some])
                self._log.commit(Batch(runs=[run]))


def matching(broker: Broker, shares: int) -> None:
    """So many shares that every record reaches: each asks for an item less than the first."""
    asked = ITEMS.split()
    for number in range(shares):
        # the fifth of items that are kept, in every combination
        some = [one for n, one in enumerate(asked) if n < 5 or not number >> (n - 5) & 1]
        city.grant(
            broker, f"c{number}", " ".join(some), dataset=DATASET, tier=Level.L2, department="mz"
        )


def within(broker: Broker, villages: Sequence[str], nested: bool) -> None:
    """A share for every village; nested: for each of their towns and counties as well."""
    scopes = list(villages)
    if nested:
        scopes += dict.fromkeys(one[:digits] for digits in (9, 6) for one in villages)
    broker.sharing.settle()
    with broker.store.writing() as connection:
        for scope in scopes:
            consumer = Consumer(f"c{scope}", "mz", Level.L2)
            ledger.put_consumer(connection, consumer, "")
            asked = Application(
                consumer.id, DATASET, ITEMS.split(), "p", "b", scope,
                "2026-01-01", "2099-01-01", "i", "n",
            )  # fmt: skip
            ledger.put_grant(connection, asked.grant(consumer, broker.catalog, broker.divisions))


def villages_of(broker: Broker, number: int) -> list[str]:
    """Real villages, the first so many."""
    return [one.code for one in broker.divisions.all() if one.tier == "village"][:number]
