"""`shuqiao relay`: write every consumer's lawful view."""

from broker.bootstrap import opened
from broker.cli.output import OUTPUT
from broker.relay.worker import Progress


def relay() -> None:
    """Bring every share up to the end of its collected topic."""
    done: dict[str, Progress] = {}
    with opened() as broker, OUTPUT.console.status(OUTPUT.text("分发…", "relaying …")):
        for name, dataset in broker.catalog.datasets.items():
            done[name] = broker.relay.run_once(dataset, broker.sharing.shares(name))
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                name: {
                    "read": p.read,
                    "written": p.written,
                    "tombstones": p.tombstones,
                    "quarantined": p.quarantined,
                }
                for name, p in done.items()
            }
        )
        return
    OUTPUT.table(
        [("数据集", "dataset"), ("读取", "read"), ("写出", "written"), ("墓碑", "tombstones"),
         ("隔离", "quarantined")],
        [(name, p.read, p.written, p.tombstones, p.quarantined) for name, p in done.items()],
    )
