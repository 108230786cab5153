"""`shuqiao share`: the materialised, masked views."""

import json
from typing import Any

import typer

from broker.bootstrap import Broker, opened
from broker.cli.output import OUTPUT
from broker.errors import GrantError
from broker.projection.avro import Codec
from broker.registry import unframe
from broker.sharing.share import Share

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the shares with their consumers."""
    with opened() as broker:
        rows = [
            (share, ", ".join(broker.sharing.audience(share.id)))
            for share in broker.sharing.shares()
        ]
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "share": share.id,
                    "dataset": share.dataset,
                    "topic": share.topic,
                    "state": share.state,
                    "consumers": audience.split(", "),
                    "items": {name: str(effect) for name, effect in share.effects.items()},
                }
                for share, audience in rows
            ]
        )
        return
    OUTPUT.table(
        [("共享主题", "topic"), ("状态", "state"), ("使用方", "consumers")],
        [(share.topic, share.state, audience) for share, audience in rows],
    )


@app.command()
def read(
    share: str,
    consumer: str = typer.Option(..., help="the consumer reading; must hold the share"),
    limit: int = typer.Option(10, min=1, help="at most so many records"),
) -> None:
    """Read a share as its consumer would: one JSON line a record, the newest of each key."""
    with opened() as broker:
        if consumer not in broker.sharing.audience(share):
            raise GrantError(
                f"{consumer} has no right to share {share}",
                mend="`shuqiao share list` shows the shares of each consumer",
            )
        found = next(one for one in broker.sharing.shares() if one.id == share)
        for record in list(current(broker, found).values())[:limit]:
            print(json.dumps(record, ensure_ascii=False, default=str))


def current(broker: Broker, share: Share) -> dict[bytes, dict[str, Any]]:
    """The share's current records by share key: what a consumer has after reading it."""
    codec = Codec(share.schema)
    values: dict[bytes, bytes] = {}
    topics = broker.log.topics()
    for partition in range(topics.get(share.topic, 0)):
        offset = 0
        while batch := broker.log.read(share.topic, partition, offset, 5000):
            for stored in batch:
                if stored.value is None:
                    values.pop(stored.key, None)
                else:
                    values[stored.key] = stored.value
            offset = batch[-1].offset + 1
    return {key: codec.decode(unframe(value)[1]) for key, value in values.items()}
