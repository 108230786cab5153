"""What `./run bench` and `./run profile` are asked for; what cannot be is refused at once."""

import argparse
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NoReturn

from broker.divisions import load_divisions
from tests.bench.path_rows import Asked
from tests.city import ROOT

TRANSPORTS = ("librdkafka", "kafka-python")
ENGINES = ("embedded", "kafka")
_SLOW = 20
"""With Python alone on Kafka: so many times fewer records."""

_MANY = 100
"""Villages whose shares' partitions a broker makes soon; those of a thousand take minutes."""

_BENCH = """
Measures, prints, and writes tests/bench/results.json; with --readme it only makes README's
tables of that file. The figures of a line are µs of CPU a record (the median, then the least and
the most) and records a second by the clock.

NAMEs; all but the last two where none is given:

  kernel      one record: decoded, masked and encoded with fastavro; by the kernel
  path        the relay: a bare copy, the same with fastavro, shares, villages, the reference
  collect     rows in memory, collected
  pull        a share over HTTP, in each form
  disk, decide, latency, revocation, compaction, idle, demo, relays, take_over
  delay       from a change to the consumer, at 10, 50 and 80 % of what can be done
  catch-up    the same while another share opens
  memory      the relay's most, with a million keys
  memory_large, flat    with ten millions; over --minutes
"""
_RATIOS = """
Only ratios within one run compare: take a quiet machine, and as many people as are the default.
Rows that are not asked for stand in the file as they were, if of a machine like this one.
"""


@dataclass(frozen=True)
class Wanted:
    """What is to be measured."""

    names: tuple[str, ...]
    engines: tuple[str, ...]
    transports: tuple[str, ...]
    size: Asked
    villages_named: bool
    minutes: float
    readme: bool

    def on_kafka(self, transport: str) -> Asked:
        """How much of it on Kafka: where villages were not named, no more partitions than one
        broker makes soon."""
        size = self.size
        if not self.villages_named:
            size = replace(size, villages=tuple(one for one in size.villages if one <= _MANY))
        if transport != "kafka-python":
            return size
        return replace(size, people=max(1, size.people // _SLOW), runs=1, villages=())


def bench() -> Wanted:
    """What is asked for."""
    parser = _parser("./run bench", _BENCH, _RATIOS)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure, see above")
    parser.add_argument("--engine", choices=(*ENGINES, "all"), default="all")
    parser.add_argument("--transport", choices=(*TRANSPORTS, "all"), default=TRANSPORTS[0],
                        help="the client on Kafka (%(default)s)")  # fmt: skip
    parser.add_argument("--people", type=_number, default=100_000,
                        help="records for path and collect (%(default)s)")  # fmt: skip
    parser.add_argument("--shares", type=_numbers, default=Asked.shares, metavar="N,N",
                        help="path: numbers of shares that all records reach (1,5,20)")  # fmt: skip
    parser.add_argument("--villages", type=_villages, metavar="N,N",
                        help="path: numbers of villages, a share each (10,100,1000)")  # fmt: skip
    parser.add_argument("--runs", type=_number, default=3, help="processes a figure (%(default)s)")
    parser.add_argument("--minutes", type=_minutes, default=10.0, help="of flat (%(default)s)")
    parser.add_argument("--readme", action="store_true", help="make README's tables, no more")
    given = parser.parse_args()
    return Wanted(
        tuple(given.names),
        ENGINES if given.engine == "all" else (given.engine,),
        TRANSPORTS if given.transport == "all" else (given.transport,),
        Asked(given.people, given.shares, given.villages or Asked.villages, given.runs),
        given.villages is not None,
        given.minutes,
        given.readme,
    )


def profile() -> argparse.Namespace:
    """The same of `./run profile`."""
    words = "CPU of the relay by step, in µs a record, once shares are loaded: updates alone."
    parser = _parser("./run profile", words, "")
    parser.add_argument("--engine", choices=ENGINES, default="embedded")
    parser.add_argument("--transport", choices=TRANSPORTS, default=TRANSPORTS[0])
    parser.add_argument("--people", type=_number, default=100_000, help="records (%(default)s)")
    parser.add_argument("--shares", type=_number, default=1,
                        help="shares that every record reaches (%(default)s)")  # fmt: skip
    return parser.parse_args()


def refuse(unknown: Iterable[str], known: Iterable[str]) -> NoReturn:
    """There are no such names."""
    sys.exit(f"there is no {', '.join(unknown)} here; there are: {', '.join(known)}")


def _parser(name: str, words: str, after: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=name,
        description=words,
        epilog=after,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_number(one.strip()) for one in text.split(","))


def _villages(text: str) -> tuple[int, ...]:
    found = _numbers(text)
    known = [
        one
        for one in load_divisions(ROOT / "schemas" / "divisions.csv").all()
        if one.tier == "village"
    ]
    if max(found) > len(known):
        raise argparse.ArgumentTypeError(f"the division table has {len(known)} villages")
    return found


def _minutes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes")
    return found
