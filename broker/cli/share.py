"""`shuqiao share`: the materialised, masked views."""

import json
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console

from broker.bootstrap import Broker, opened
from broker.cli.output import OUTPUT
from broker.projection.avro import Codec
from broker.registry import unframe
from broker.sharing.share import Share

app = typer.Typer(no_args_is_help=True)

_PAGE = 5_000


@app.command("list")
def list_() -> None:
    """List the shares and who may read each today."""
    with opened() as broker:
        rows = broker.sharing.audiences()
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "share": one.share.id,
                    "dataset": one.share.dataset,
                    "topic": one.share.topic,
                    "state": one.share.state,
                    "consumers": one.readers,
                    "items": {name: str(effect) for name, effect in one.share.effects.items()},
                }
                for one in rows
            ]
        )
        return
    OUTPUT.table(
        [
            ("共享", "share"),
            ("状态", "state"),
            ("可读的使用方", "readers"),
            ("共享主题", "topic"),
        ],
        [(one.share.id, one.share.state, ", ".join(one.readers), one.share.topic) for one in rows],
    )


@app.command()
def show(share: str = typer.Argument(..., help="a share's id, or its topic")) -> None:
    """Show a share: its state, what stands in it, who may read it, how far it has caught up."""
    with opened() as broker:
        found = broker.sharing.share(share.rpartition(".")[2])
        readers = [
            name
            for one in broker.sharing.audiences(found.dataset)
            if one.share.id == found.id
            for name in one.readers
        ]
        partitions = broker.catalog.dataset(found.dataset).partitions
        fields = {
            "share": found.id,
            "dataset": found.dataset,
            "topic": found.topic,
            "state": found.state,
            "caught_up": f"{broker.life.caught_up(found.id)}/{partitions}",
            "consumers": readers,
            "scope": found.rows.scope.code,
            "schema_id": found.schema_id,
            "waits_for": "" if found.published else broker.settings.registry_url,
            "items": {name: str(effect) for name, effect in found.effects.items()},
        }
    if OUTPUT.as_json:
        OUTPUT.document(fields)
        return
    fields["consumers"] = ", ".join(readers)
    fields["items"] = ", ".join(f"{name}→{effect}" for name, effect in found.effects.items())
    OUTPUT.table([("字段", "field"), ("值", "value")], list(fields.items()))


@app.command()
def read(
    share: str = typer.Argument(..., help="a share's id, or its topic"),
    consumer: str = typer.Option(..., help="the consumer that reads; it must hold the share"),
    limit: int = typer.Option(10, min=1, help="at most so many records"),
) -> None:
    """Read a share as its consumer would: one JSON line a record, the newest of each key."""
    with opened() as broker:
        found = broker.sharing.readable(share.rpartition(".")[2], consumer)
        for number, (_, record) in enumerate(current(broker, found)):
            if number >= limit:
                more = Console(stderr=True)
                words = OUTPUT.text(
                    f"… 只显示前 {limit} 条；--limit 可以更多",
                    f"… the first {limit} only; --limit shows more",
                )
                more.print(words, markup=False, highlight=False)
                return
            print(json.dumps(record, ensure_ascii=False, default=str))


def current(broker: Broker, share: Share) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The share's live records by share key: what a consumer has after reading it."""
    codec = Codec(share.schema)
    for partition in range(broker.log.topics().get(share.topic, 0)):
        newest: dict[bytes, bytes] = {}
        offset = 0
        while batch := broker.log.read(share.topic, partition, offset, _PAGE):
            for stored in batch:
                if stored.value is None:
                    newest.pop(stored.key, None)
                else:
                    newest[stored.key] = stored.value
            offset = batch[-1].offset + 1
        for key, value in newest.items():
            yield key, codec.decode(unframe(value)[1])
