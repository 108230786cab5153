"""Two invented residents: their records at the departments beside what each consumer gets.

Law: what is shown of a consumer's view is read from its shared topic, not computed here.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rich.text import Text

from broker.bootstrap import Broker
from broker.cli.output import OUTPUT, mark
from broker.cli.share import current
from broker.cli.words import absence_in_words, effect_in_words, reasons_in_words
from broker.model import Dataset
from broker.policy.model import Decision, Grant
from broker.projection.avro import Codec
from broker.projection.derive import field_name
from broker.pseudonym import keyed_hash
from broker.sharing.share import Share
from connectors.samples.population import Person


@dataclass(frozen=True, slots=True)
class View:
    """A grant, its decision, and its share's records by share key."""

    grant: Grant
    decision: Decision
    share: Share | None
    records: dict[bytes, dict[str, Any]]


def views(broker: Broker) -> list[View]:
    """Every grant with what its consumer can read now."""
    read: dict[str, dict[bytes, dict[str, Any]]] = {}
    found: list[View] = []
    for outcome in broker.sharing.settle():
        share = outcome.share
        if share is not None and share.id not in read:
            read[share.id] = dict(current(broker, share))
        records = read[share.id] if share is not None else {}
        found.append(View(outcome.grant, outcome.decision, share, records))
    return found


def collected_records(
    broker: Broker, dataset: Dataset, person: Person
) -> list[tuple[bytes, dict[str, Any]]]:
    """The person's live records of a dataset with their collected keys, newest last."""
    codec = Codec(dataset.schema)
    newest: dict[bytes, bytes | None] = {}
    for partition in range(broker.log.topics().get(dataset.collected_topic, 0)):
        offset = 0
        while batch := broker.log.read(dataset.collected_topic, partition, offset, 5_000):
            newest.update((stored.key, stored.value) for stored in batch)
            offset = batch[-1].offset + 1
    found: list[tuple[bytes, dict[str, Any]]] = []
    for key, sealed in newest.items():
        if sealed is not None:
            body = broker.sealer.open(dataset.collected_topic, key, sealed).body
            record = codec.decode(body)
            if record["id_no"] == person.id_no:
                found.append((key, record))
    return found


def show(broker: Broker, person: Person, title: str, seen: list[View]) -> None:
    """The person's records, dataset by dataset, beside each consumer's view."""
    OUTPUT.head(title, title)
    for dataset in broker.catalog.datasets.values():
        mine = [view for view in seen if view.grant.dataset == dataset.id]
        records = collected_records(broker, dataset, person) if mine else []
        if records:
            _show_record(broker, dataset, *records[-1], mine)


def _show_record(
    broker: Broker, dataset: Dataset, key: bytes, record: dict[str, Any], mine: list[View]
) -> None:
    year = broker.today.year
    asked = {name for view in mine for name in view.grant.items}
    got = [_view_of(broker, view, key) for view in mine]
    rows = []
    for item in dataset.items:
        if item.name not in asked:
            continue
        cells = [_cell(view, values, item.name) for view, values in zip(mine, got, strict=True)]
        source = mark(_text(record[item.name]), "yellow")
        name = item.name if OUTPUT.lang == "en" else f"{item.title} {item.name}"
        rows.append((name, source, *cells))
    department = broker.catalog.departments[dataset.department]
    OUTPUT.table(
        [
            ("数据项", "item"),
            (f"{department.title}原始记录", f"record at {department.title_en}"),
            *((view.grant.consumer.id, view.grant.consumer.id) for view in mine),
        ],
        rows,
        title=f"{dataset.title} {dataset.id}",
        spare=[
            view.grant.consumer.id
            for view, values in zip(mine, got, strict=True)
            if values is None  # why it gets nothing is said below
        ],
    )
    for view, values in zip(mine, got, strict=True):
        absence = absence_in_words(
            view.decision, dataset, record, year, broker.divisions, OUTPUT.lang
        )
        who = f"  {view.grant.consumer.id}"
        if values is None:
            OUTPUT.say(f" 什么也没有收到：{absence}", f" gets nothing: {absence}", strong=who)
            continue
        OUTPUT.say(" 为什么：", ", why:", strong=who)
        for name in view.grant.items:
            why = reasons_in_words(view.decision, name, OUTPUT.lang)
            OUTPUT.say(f"    · {dataset.by_name[name].title}：{why}", f"    · {name}: {why}")


def _view_of(broker: Broker, view: View, key: bytes) -> dict[str, Any] | None:
    if view.share is None:
        return None
    share_key = keyed_hash(broker.keyring.key(f"share.{view.share.id}"), key)
    return view.records.get(share_key)


def _cell(view: View, values: dict[str, Any] | None, item: str) -> Text:
    if item not in view.grant.items:
        return mark(OUTPUT.text("未申请", "not asked for"), "dim")
    if values is None:
        return mark("—", "dim")
    effect = view.decision.effects[item]
    if effect.name == "drop":
        return mark(OUTPUT.text("不提供", "withheld"), "red")
    value = _text(values[field_name(item, effect)])
    if effect.name == "keep":
        return mark(value, "green")
    return mark(value, "cyan").append(f"\n{effect_in_words(effect, OUTPUT.lang)}", "dim")


def _text(value: Any) -> str:
    if value is None:
        return "∅"
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes")
    if isinstance(value, bool):
        return OUTPUT.text("是", "yes") if value else OUTPUT.text("否", "no")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def live_keys(broker: Broker, topic: str) -> int:
    """How many keys of a topic have a value that is no tombstone."""
    live: dict[bytes, bool] = {}
    for partition in range(broker.log.topics().get(topic, 0)):
        offset = 0
        while batch := broker.log.read(topic, partition, offset, 5_000):
            live.update((stored.key, stored.value is not None) for stored in batch)
            offset = batch[-1].offset + 1
    return sum(live.values())
