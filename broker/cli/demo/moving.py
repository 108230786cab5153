"""Number 3: one of the two residents moves to another county, and the shares follow.

Law: what each consumer has is read from its shared topic, by the key the share gave it.
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from broker.cli.demo.residents import collected_records
from broker.cli.demo.script import NEIGHBOURS
from broker.cli.demo.stage import Stage, say, sign_of, told
from broker.log.reading import records
from broker.log.topics import partition_of
from broker.projection.avro import Codec
from broker.pseudonym import keyed_hash
from broker.registry import unframe
from broker.sharing.share import Share
from connectors.samples.gongan import RESIDENT
from connectors.samples.population import ADULT, HOME_TOWN, Person

_HOME, _AWAY = HOME_TOWN[:6], NEIGHBOURS.scope


@dataclass
class _Copy:
    """A consumer's copy of the resident: where it is looked for, and what was seen there."""

    consumer: str
    share: Share
    partition: int
    key: bytes
    offset: int
    held: bool
    value: bytes | None = None
    seen: bool = False


class Mover:
    """Moves the adult resident to and fro."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._key = b""

    def move(self, stage: Stage) -> None:
        """To some village of the other county; a tombstone in one share, a record in another."""
        broker, day = stage.broker, stage.day
        left = day.village(ADULT)
        county = _HOME if left[:6] == _AWAY else _AWAY
        self._key = self._key or self._collected_key(stage)
        if not (left and self._key):
            say("[3] 找不到这位居民", "[3] the resident is not there", sign="✗")
            return
        copies = [self._copy(stage, grant.grant.consumer.id, share)
                  for grant, share in stage.live() if share.dataset == RESIDENT]  # fmt: skip
        dataset = broker.catalog.dataset(RESIDENT)
        partition = partition_of(self._key, dataset.partitions)
        end = broker.log.end(dataset.collected_topic, partition)
        started = time.monotonic()
        day.move(ADULT, county, stage.now())
        say(
            f"[3] 公安：{self._person.name}（上面的那位成年居民）从{stage.village(left)}"
            f"迁到{stage.village(day.village(ADULT))}",
            f"[3] public security: {self._person.name}, the adult resident shown above, moves from "
            f"{stage.village(left)} to {stage.village(day.village(ADULT))}",
        )

        def collected() -> bool:
            page = broker.log.read(dataset.collected_topic, partition, end, 5_000)
            return any(one.key == self._key and one.value is not None for one in page)

        stays = {one.consumer: county.startswith(one.share.rows.scope.code[:6]) for one in copies}
        affected = [one for one in copies if one.held or stays[one.consumer]]
        affected.sort(key=lambda one: stays[one.consumer])  # who loses it, then who gets it
        times = stage.clock(
            started,
            {
                "collected": collected,
                **{
                    one.consumer: partial(_arrived, stage, one, stays[one.consumer])
                    for one in affected
                },
            },
        )
        say(f"  {told(times, 'collected')}后归集", f"  collected after {told(times, 'collected')}")
        for one in affected:
            self._tell(one, stays[one.consumer], told(times, one.consumer), one.consumer in times)
        if not affected:
            say(
                "  没有使用方现在能读人口基础信息：按 6 恢复",
                "  no consumer may read the resident base now: 6 restores that",
                sign="○",
            )
        say(
            "  为什么要紧：谁的辖区、谁才有这条记录；人一迁走，原来的副本收到墓碑，必须删除。",
            "  Why it matters: only whose district it is has the record; who moved away becomes a "
            "tombstone there, and the copy must go.",
        )

    def _tell(self, one: _Copy, stays: bool, after: str, good: bool) -> None:
        if not stays:
            say(
                f"  {one.consumer}：{after}后收到墓碑，记录不再属于它",
                f"  {one.consumer}: a tombstone after {after}: the record is no longer its own",
                sign=sign_of(good),
            )
            return
        shown = _shown(one) if one.value else "–"
        say(
            f"  {one.consumer}：{after}后得到记录 {shown}",
            f"  {one.consumer}: the record after {after}: {shown}",
            sign=sign_of(good),
        )

    def _collected_key(self, stage: Stage) -> bytes:
        dataset = stage.broker.catalog.dataset(RESIDENT)
        found = collected_records(stage.broker, dataset, self._person)
        return found[-1][0] if found else b""

    def _copy(self, stage: Stage, consumer: str, share: Share) -> _Copy:
        broker = stage.broker
        partition = partition_of(self._key, broker.catalog.dataset(RESIDENT).partitions)
        key = keyed_hash(broker.keyring.key(f"share.{share.id}"), self._key)
        end, held = broker.log.end(share.topic, partition), False
        for record in records(broker.log, share.topic, partition, 0, end):
            if record.key == key:
                held = record.value is not None
        return _Copy(consumer, share, partition, key, end, held)


def _arrived(stage: Stage, one: _Copy, stays: bool) -> bool:
    """Whether the share has what it must end with: a record, or a tombstone."""
    for record in stage.broker.log.read(one.share.topic, one.partition, one.offset, 5_000):
        one.offset = record.offset + 1
        if record.key == one.key:
            one.value, one.seen = record.value, True
    return one.seen and (one.value is not None) == stays


def _shown(one: _Copy) -> str:
    values: dict[str, Any] = Codec(one.share.schema).decode(unframe(one.value or b"")[1])
    wanted = [name for name in values if name.startswith(("name", "hukou_addr", "division_code"))]
    return ", ".join(f"{name}={values[name]}" for name in wanted if values[name] is not None)
