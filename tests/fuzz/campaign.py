"""One campaign: mutate, run, keep what goes a new way through the kernel, until the time is over.

Law: the input that is running stands in a file, so that what ended the process is known. A find is
an input of which the kernel and the reference do not say the same.
"""

import argparse
import ctypes
import json
import sys
import time
from pathlib import Path
from random import Random

from broker.errors import ProjectionError
from broker.projection import projector
from tests.fuzz import corpus, mutate
from tests.fuzz.oracle import Oracle
from tests.fuzz.programs import programs

FRESH = 6
"""Records that each program begins with, beside the corpus."""


class Edges:
    """The counters within the kernel's own library (see `edges.c`)."""

    def __init__(self) -> None:
        library = ctypes.CDLL(projector._kernel.__file__)
        self.begin, self.new = library.edges_begin, library.edges_new
        self.seen, self.forget = library.edges_seen, library.edges_forget


class Campaign:
    """Every program with its inputs; `running` is the file for what runs."""

    def __init__(self, running: Path, seed: int) -> None:
        self.edges = Edges()
        self.dice = Random(seed)
        self.oracles = {name: Oracle(world) for name, world in programs().items()}
        self.inputs: dict[str, list[bytes]] = {name: [] for name in self.oracles}
        self.finds: list[tuple[str, bytes, str]] = []
        self.runs = 0
        self._running = running.open("r+b", buffering=0) if running.exists() else running.open("wb")

    def begin(self) -> None:
        """The corpus, and a few records of each program."""
        kept = corpus.read()
        for name, oracle in self.oracles.items():
            # an input that leads no further than another is no use to begin with
            for body in kept.get(name, []):
                self.run(name, body)
            for _ in range(FRESH):
                self.run(name, mutate.record(oracle.world, self.dice))

    def go_on(self, until: float) -> None:
        names = list(self.oracles)
        while time.monotonic() < until:
            name = self.dice.choice(names)
            self.run(name, self._another(name))

    def run(self, name: str, body: bytes) -> None:
        """One input, kept where it goes a new way."""
        self._note(name, body)
        self.runs += 1
        self.edges.begin()
        try:
            self.oracles[name].check(body)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a find
            self.finds.append((name, body, f"{type(error).__name__}: {error}"[:200]))
            return
        if len(body) <= mutate.LONGEST and self.edges.new():
            self.inputs[name].append(body)

    def fewest(self) -> dict[str, list[bytes]]:
        """As few and as short inputs as go every way that was found; the finds with them."""
        self.edges.forget()
        found: dict[str, list[bytes]] = {}
        for name, bodies in self.inputs.items():
            self.inputs[name] = []
            ordered = sorted(set(bodies), key=lambda one: (len(one), one))
            for body in ordered:
                self.run(name, body)
            found[name] = self.inputs[name] or ordered[:1]
        for name, body, _ in self.finds:
            found[name].append(body)
        return found

    def _another(self, name: str) -> bytes:
        bodies, oracle = self.inputs[name], self.oracles[name]
        if not bodies or self.dice.randrange(20) == 0:
            return mutate.record(oracle.world, self.dice)
        body = self.dice.choice(bodies)
        if self.dice.randrange(3) == 0:
            try:
                return mutate.other_value(oracle.world, oracle.codec, body, self.dice)
            except ProjectionError:
                pass  # it is no record: its bytes are changed
        return mutate.bytes_changed(body, bodies, self.dice)

    def _note(self, name: str, body: bytes) -> None:
        self._running.seek(0)
        self._running.write(f"{len(body):08d} {name}\n".encode() + body)


def running(file: Path) -> tuple[str, bytes]:
    """What ran last in a campaign that has ended."""
    head, _, rest = file.read_bytes().partition(b"\n")
    size, _, name = head.decode().partition(" ")
    return name, rest[: int(size)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("running", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    begun = time.monotonic()
    campaign = Campaign(asked.running, asked.seed)
    campaign.begin()
    first = campaign.edges.seen()
    campaign.go_on(begun + asked.seconds)
    seconds, runs, edges = time.monotonic() - begun, campaign.runs, campaign.edges.seen()
    if asked.keep:
        corpus.write(campaign.fewest())
    print(
        f"{runs} runs in {seconds:.0f} s, {runs / seconds:.0f} a second; "
        f"{edges} edges, {edges - first} of them new; {len(campaign.finds)} finds"
    )
    for name, body, what in campaign.finds[:20]:
        print(json.dumps({"program": name, "body": body.hex(), "what": what}))
    sys.exit(bool(campaign.finds))


if __name__ == "__main__":
    main()
