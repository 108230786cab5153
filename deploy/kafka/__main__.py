"""`./run kafka start [--nodes 1|3] | stop | status`: a secured Apache Kafka on this machine."""

import argparse
import sys
from pathlib import Path

from broker.settings import load_settings
from deploy.kafka.cluster import Cluster, NoKafka


def main() -> None:
    """Do what was asked, and say where the cluster is."""
    parser = argparse.ArgumentParser(prog="./run kafka", description=__doc__)
    parser.add_argument("what", choices=("start", "stop", "status"))
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="when it is made")
    parser.add_argument("--folder", type=Path, help="where it lives; <state>/kafka")
    asked = parser.parse_args()
    cluster = Cluster(asked.folder or load_settings().state / "kafka")
    try:
        if asked.what == "start":
            cluster.make(asked.nodes)
            cluster.start()
        elif asked.what == "stop":
            print(f"{cluster.stop()} node(s) ended")
            return
    except NoKafka as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    if not cluster.nodes:
        print("there is no cluster: ./run kafka start", file=sys.stderr)
        raise SystemExit(1)
    for node in cluster.nodes:
        pid = cluster.pid(node)
        print(f"node {node.number}  {node.address}  {f'process {pid}' if pid else 'does not run'}")
    print(f"settings: {_below_here(cluster.folder / 'shuqiao.yaml')}")
    raise SystemExit(0 if all(map(cluster.pid, cluster.nodes)) else 1)


def _below_here(path: Path) -> Path:
    """As it is written from this folder, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
