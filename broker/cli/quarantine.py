"""`shuqiao quarantine`: what was set aside, where it came from, what to do. Shapes only."""

from collections import Counter
from dataclasses import asdict

import typer

from broker.bootstrap import opened
from broker.cli.output import OUTPUT
from broker.cli.shapes import shape_of_raw
from broker.errors import SettingsError
from broker.quarantine import Quarantine

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(dataset: str = typer.Argument("", help="one dataset; all when left out")) -> None:
    """Count what is in quarantine by dataset, source and reason."""
    counts: Counter[tuple[str, str, str]] = Counter()
    with opened() as broker:
        wanted = [broker.catalog.dataset(dataset)] if dataset else broker.catalog.datasets.values()
        for one in wanted:
            for _, _, entry in Quarantine(one, broker.sealer).entries(broker.log, 10**9):
                counts[one.id, entry.source, entry.reason] += 1
    rows = [(*key, count) for key, count in sorted(counts.items())]
    if OUTPUT.as_json:
        OUTPUT.document(
            [{"dataset": d, "source": s, "reason": r, "records": n} for d, s, r, n in rows]
        )
        return
    OUTPUT.table(
        [("数据集", "dataset"), ("来源", "source"), ("原因", "reason"), ("条数", "records")], rows
    )


@app.command()
def show(
    dataset: str,
    reason: str = typer.Option("", help="only this reason"),
    limit: int = typer.Option(20, min=1, help="at most so many"),
) -> None:
    """Show entries: place, reason, what to do, and the shape of the record."""
    with opened() as broker:
        one = broker.catalog.dataset(dataset)
        found = [
            (f"{partition}@{offset}", entry)
            for partition, offset, entry in Quarantine(one, broker.sealer).entries(
                broker.log, 10**9
            )
            if not reason or entry.reason == reason
        ][:limit]
        columns = {
            name
            for mapping in broker.mappings()
            if mapping.dataset == dataset
            for name in mapping.expected
        }
    if not found and reason:
        raise SettingsError(
            f"nothing in quarantine of {dataset} has the reason {reason}",
            mend="`shuqiao quarantine list` shows the reasons",
        )
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "at": at,
                    "source": e.source,
                    "where": e.where,
                    "reason": e.reason,
                    "mend": e.mend,
                    "shape": shape_of_raw(e.raw, columns),
                }
                for at, e in found
            ]
        )
        return
    OUTPUT.table(
        [
            ("位置", "at"),
            ("出处", "where"),
            ("原因", "reason"),
            ("怎么办", "what to do"),
            ("形状", "shape"),
        ],
        [
            (at, f"{e.source} {e.where}", e.reason, e.mend, shape_of_raw(e.raw, columns))
            for at, e in found
        ],
    )


@app.command()
def replay(
    dataset: str = typer.Argument("", help="one dataset; all when left out"),
    reason: str = typer.Option("", help="only this reason"),
) -> None:
    """Try the entries again, as the mappings and schemas are now. Only where nothing later was
    collected of the same key; what is still wrong stays."""
    with opened() as broker:
        wanted = [broker.catalog.dataset(dataset).id] if dataset else list(broker.catalog.datasets)
        done = [(name, one) for name in wanted for one in broker.replay(name).run(reason)]
    if OUTPUT.as_json:
        OUTPUT.document([{"dataset": name, **asdict(one)} for name, one in done])
        return
    if not done:
        OUTPUT.say("隔离区里没有可重放的", "there is nothing in quarantine to replay", sign="○")
        return
    OUTPUT.table(
        [
            ("数据集", "dataset"), ("来源", "source"), ("已归集", "collected"),
            ("已有更新版本", "overtaken"), ("仍有错", "still wrong"),
            ("须投更正文件", "needs new file"),
        ],
        [(name, o.source, o.collected, o.overtaken, o.wrong, o.lost) for name, o in done],
    )  # fmt: skip
