"""Ends a cluster when whoever started this process is gone: `python -m deploy.kafka.keeper FOLDER`.

Law: it waits for the end of its standard input, which comes however its parent ends.
"""

import signal
import sys
from pathlib import Path

from deploy.kafka.cluster import Cluster


def main() -> None:
    """Wait, then end what runs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to a whole group it is not meant for us
    sys.stdin.buffer.read()
    Cluster(Path(sys.argv[1])).stop(signal.SIGKILL)


if __name__ == "__main__":
    main()
