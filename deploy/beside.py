"""An Apache Kafka and a PostgreSQL for as long as somebody wants them:
`python -m deploy.beside FOLDER`.

Law: both end when this process's standard input does, which comes however its parent ends. It
says `ready` once both can be used; their settings are in `FOLDER/shuqiao.yaml`.
"""

import shutil
import signal
import sys
from pathlib import Path

from deploy.kafka.authority import write_secret
from deploy.kafka.cluster import Cluster, NoKafka
from deploy.postgres.server import NoPostgres, Server


def main() -> None:
    """Start both anew, wait, end both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is our parent's
    folder = Path(sys.argv[1])
    cluster = Cluster(folder / "kafka")
    cluster.stop()  # of a run that was ended by force
    shutil.rmtree(folder, ignore_errors=True)
    cluster = Cluster(folder / "kafka")
    server: Server | None = None
    try:
        cluster.make(1)
        server = Server(folder / "postgres")
        server.make()
        server.start()
        cluster.start()
        lines = [*cluster.settings.items(), *server.settings.items()]
        written = "".join(f"{name}: {value}\n" for name, value in lines)
        write_secret(folder / "shuqiao.yaml", written.encode())
        print("ready", flush=True)
        sys.stdin.buffer.read()
    except (NoKafka, NoPostgres) as error:
        print(error, flush=True)
        raise SystemExit(1) from None
    finally:
        cluster.stop()
        if server is not None:
            server.stop()
            server.remove()


if __name__ == "__main__":
    main()
