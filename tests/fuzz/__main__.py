"""`./run fuzz [--seconds N] [--seed N] [--keep]`: inputs that go new ways through the kernel.

It is built with counters in every block of its code, and under the sanitizers where they are there.
`--keep` writes what leads further into the corpus, which the test run replays.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.campaign import running
from tests.sanitized import building

COUNTED = ("-fsanitize-coverage=trace-pc",)
EDGES = Path(__file__).parent / "edges.c"


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for how long; 60")
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFF, help="of the draws")
    parser.add_argument("--keep", action="store_true", help="write the corpus")
    asked = parser.parse_args()
    if not asked.seconds > 0:
        parser.error("--seconds: more than none")
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda number, frame: sys.exit(128 + number))
    print("the kernel is built with counters …", flush=True)
    with tempfile.TemporaryDirectory(prefix="shuqiao-fuzz-") as folder:
        try:
            kernel, watched = _kernel(Path(folder))
        except building.Lacking as error:
            print(f"nothing is fuzzed: {error}", file=sys.stderr)
            return 2
        last = Path(folder) / "running"
        words = [str(last), "--seconds", str(asked.seconds), "--seed", str(asked.seed)]
        under = "under the sanitizers" if watched else "without sanitizers"
        print(f"seed {asked.seed}, {under}, {asked.seconds:.0f} s …", flush=True)
        ended = subprocess.run(
            building.command(kernel, "tests.fuzz.campaign", *words, *["--keep"] * asked.keep),
            cwd=building.ROOT, check=False,
            env=building.environment() if watched else None,
        )  # fmt: skip
        if ended.returncode not in (0, 1):
            name, body = running(last)
            print(f"the kernel ended the process: program {name!r}, body {body.hex()}")
            if asked.keep:
                corpus.write({name: [*corpus.read().get(name, []), body]})
        return ended.returncode


def _kernel(folder: Path) -> tuple[Path, bool]:
    """The kernel with counters, and whether the sanitizers watch it."""
    try:
        building.sanitizers()
        return building.built(folder, (*building.WATCHED, *COUNTED), beside=[EDGES]), True
    except building.Lacking:
        return building.built(folder, COUNTED, beside=[EDGES]), False


if __name__ == "__main__":
    sys.exit(main())
