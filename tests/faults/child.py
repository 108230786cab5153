"""The path in a process of its own, to be killed: collects and relays everything.

Says on standard output `in` while a commit's transaction is open, `out` after it;
`relaying` once everything is collected.
"""

import sys
import time
from pathlib import Path

from broker.bootstrap import Broker
from broker.log.embedded import EmbeddedLog
from tests import city

PAUSE = 0.004


class Telling(EmbeddedLog):
    """An embedded log that says when its transaction is open, and stays in it a while."""

    def _write_tables(self, db, writes) -> None:  # type: ignore[no-untyped-def]
        super()._write_tables(db, writes)
        print("in", flush=True)
        time.sleep(PAUSE)

    def commit(self, batch) -> None:  # type: ignore[no-untyped-def]
        super().commit(batch)
        print("out", flush=True)


def main() -> None:
    folder = Path(sys.argv[1])
    broker = Broker(city.settings(folder, batch=10, relay_batch=10))
    broker.__dict__["log"] = Telling(broker.settings.log_path)
    print("ready", flush=True)
    mappings = broker.mappings()
    for name in broker.catalog.datasets:
        for report in broker.runner(name, mappings).run(10):
            if report.error:
                raise report.error
    print("relaying", flush=True)
    for name in broker.catalog.datasets:
        city.relay(broker, name)
    broker.close()
    print("done", flush=True)


if __name__ == "__main__":
    main()
