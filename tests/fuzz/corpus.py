"""The inputs that are kept: one file a program, one body a line, in hexadecimal digits.

Law: nothing in it comes from a record; values are invented. A file is as small as it can be without
an edge of the kernel less.
"""

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def read(folder: Path = FOLDER) -> dict[str, list[bytes]]:
    """The bodies of every program."""
    return {
        file.stem: [bytes.fromhex(line) for line in file.read_text("ascii").splitlines()]
        for file in sorted(folder.glob("*.hex"))
    }


def write(kept: Mapping[str, list[bytes]], folder: Path = FOLDER) -> None:
    """These are the bodies from now on."""
    folder.mkdir(exist_ok=True)
    for name, bodies in kept.items():
        ordered = sorted(set(bodies), key=lambda one: (len(one), one))
        lines = "".join(f"{one.hex()}\n" for one in ordered)
        (folder / f"{name}.hex").write_text(lines, "ascii")
