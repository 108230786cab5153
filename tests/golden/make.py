"""Writes what this version writes, for later versions to read: `python -m tests.golden.make NAME`.

A small invented city is collected, shared, and read back as bytes: `NAME.json` beside this file.
Run once for a form that is new; a file that is there is never made anew.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker.log.reading import records
from broker.model import Level
from broker.quarantine import Quarantine
from tests import city

DATASET = "ga.resident_base"
NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
FOLDER = Path(__file__).parent


def made() -> dict[str, Any]:
    """Everything that rests in a log, in hex, beside what it means."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        city.use_mapping(folder)
        people = [city.resident(n, NOW) for n in range(3)]
        city.put(city.county(folder, "371502"), *people, city.resident(9, NOW, xb="?"))
        with city.city(folder) as broker:
            city.collect(broker)
            one = city.grant(broker, "a", "id_no name birth_date", tier=Level.L2)
            city.relay(broker)
            assert one.share
            dataset, log = broker.catalog.dataset(DATASET), broker.log
            found = [
                (stored, partition)
                for partition in range(dataset.partitions)
                for stored in records(log, dataset.collected_topic, partition, 0, 99)
            ]
            quarantine = Quarantine(dataset, broker.sealer)
            ((_, aside, entry),) = quarantine.waiting(log)
            source, sealed = next(iter(log.positions(f"source.{DATASET}").items()))
            shares = [
                (stored, partition)
                for partition in range(dataset.partitions)
                for stored in records(log, one.share.topic, partition, 0, 99)
            ]
            owners = {
                stored.key.hex(): log.entries(f"owners.{DATASET}", partition, [stored.key])
                for stored, partition in found
            }
            return {
                "keyring": json.loads(broker.settings.keyring_path.read_text("utf-8")),
                "dataset": DATASET,
                "schema": dataset.schema,
                "collected": [
                    {"partition": partition, "key": stored.key.hex(), "sealed": _hex(stored.value)}
                    for stored, partition in found
                ],
                "names": sorted(row["xm"] for row in people),
                "id_numbers": sorted(row["gmsfhm"] for row in people),
                "owners": {key: next(iter(one.values())).hex() for key, one in owners.items()},
                "position": {"name": source, "sealed": sealed.hex()},
                "relayed": {
                    name: value.hex() for name, value in log.positions("relay.").items()
                },
                "quarantined": {
                    "key": aside.key.hex(), "sealed": _hex(aside.value), "reason": entry.reason,
                    "source": entry.source,
                },
                "share": {
                    "id": one.share.id, "domain": one.share.domain,
                    "schema_id": one.share.schema_id, "schema": one.share.schema,
                },
                "shared": [
                    {"partition": partition, "key": stored.key.hex(), "value": _hex(stored.value)}
                    for stored, partition in shares
                ],
            }  # fmt: skip


def _hex(value: bytes | None) -> str:
    assert value is not None
    return value.hex()


def main() -> None:
    """Write the file, where there is none of that name."""
    path = FOLDER / f"{sys.argv[1]}.json"
    with path.open("x", encoding="utf-8") as file:
        json.dump(made(), file, ensure_ascii=False, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
