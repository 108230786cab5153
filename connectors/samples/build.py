"""Builds the three synthetic departments: `python -m connectors.samples.build FOLDER`.

Law: the same people, seed and day give the same bytes.
"""

import argparse
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import schemas
from broker.divisions import Divisions, load_divisions
from broker.errors import SourceError
from connectors.samples.gongan import Gongan
from connectors.samples.minzheng import Minzheng
from connectors.samples.population import MOST_PEOPLE, Population
from connectors.samples.weijian import Weijian

MANIFEST = "manifest.json"
_TELL = 500

Expected = dict[str, dict[str, Any]]
"""By dataset: rows, live_keys, quarantined, duplicates, and the mess by kind."""


def build(
    folder: Path,
    *,
    people: int,
    seed: int,
    as_of: date,
    divisions: Divisions,
    mess: float = 0.001,
    progress: Callable[[int], None] = lambda people: None,
) -> Expected:
    """Write the departments' sources below `folder`; what each dataset must become.

    `mess` is the share of rows spoilt in each way.
    """
    if not 2 <= people <= MOST_PEOPLE:
        raise SourceError(f"people must be from 2 to {MOST_PEOPLE}", mend="choose another number")
    if folder.exists() and any(folder.iterdir()):
        raise SourceError("the folder is not empty", where=str(folder), mend="name another")
    population = Population(people, seed, as_of, divisions)
    departments = (
        Gongan(folder / "gongan", population, seed, mess),
        Minzheng(folder / "minzheng", population, seed, mess),
        Weijian(folder / "weijian", population, seed, mess),
    )
    for person in population:
        for department in departments:
            department.write(person)
        if person.index % _TELL == 0:
            progress(person.index)
    for department in departments:
        department.close()
    expected = {
        dataset: mess.expected.to_json()
        for department in departments
        for dataset, mess in sorted(department.mess.items())
    }
    text = json.dumps(expected, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")
    progress(people)
    return expected


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="build the three synthetic departments")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--as-of", type=date.fromisoformat, default=date.today())
    parser.add_argument("--mess", type=float, default=0.001)
    asked = parser.parse_args()
    table = Path(next(iter(schemas.__path__))) / "divisions.csv"
    expected = build(
        asked.folder,
        people=asked.people,
        seed=asked.seed,
        as_of=asked.as_of,
        divisions=load_divisions(table),
        mess=asked.mess,
    )
    for dataset, counts in expected.items():
        print(dataset, counts["rows"])


if __name__ == "__main__":
    main()
