"""What every source is to the runner.

Law: a position means "every row up to and including the last one handed over has been
read"; it is opaque to the runner, which commits it together with the records it stands
for and hands it back at the next start. What is read twice costs nothing (the runner
knows the row); what is skipped is lost, so a source in doubt reads again. Rows of one
file or page that have the same key come in the same batch. Nothing is ever written to
a source.

How deletes are seen: `soft_delete` hands a row over with `deleted`; `key_diff` hands over
everything from time to time and says so (`Whole`): what was not met is gone; `none` sees
none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MAX_VALUE = 1_000_000
"""Characters, or bytes, that one value may have."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is wrong: a reason code, the column, and what to do. Never its content."""

    reason: str
    column: str
    mend: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `where` is its place (`低保-0001.csv:17`, a table and pseudonymous key);
    `cells` are by column; `raw` is what goes to quarantine, sealed, if the row is wrong. `id`
    stays the same when the row's key changes; empty where the source has none. `origin` stands
    for the file it came with, where that is not the batch's."""

    where: str
    cells: Mapping[str, Any]
    raw: bytes
    deleted: bool = False
    fault: Fault | None = None
    id: str = ""
    origin: bytes = b""

    def __repr__(self) -> str:
        return f"Row({self.where!r}, {len(self.cells)} cells)"


@dataclass(frozen=True, slots=True)
class Whole:
    """Said of batches that together are everything of a source, or of the `file` whose rows
    they replace. With the `last` of them what was not met is known to be gone: wrong rows
    leave the quarantine and, where `deletes`, keys are deleted. Rows that are handed over
    `ahead` are only looked at, so that it is asked what may be deleted before any is taken."""

    last: bool
    deletes: bool
    file: str = ""
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows, and the position after the last of them. `file` names the file they stand in;
    its corrections have the same name here. Rows that fill stand only where nothing is live
    under their key; one without rows says that those were all."""

    rows: list[Row]
    position: bytes
    file: str = ""
    whole: Whole | None = None
    fills: bool = False


class Source(Protocol):
    """One provider of a dataset: a table, or a folder of drops."""

    name: str

    def check(self) -> None:
        """Compare the source's columns with the mapping; called before any row is read.

        `SourceError` shows the difference. Nothing is read or lost.
        """

    def batches(self, after: bytes | None, limit: int, again: bool = False) -> Iterator[RowBatch]:
        """Rows after the position (None: from the beginning), about `limit` a batch.

        `again`: everything that is there, whatever the position says. Called once a run. Ends
        when nothing more is to be read now. `SourceError` ends
        the run; what was handed over before stands.
        """

    def total(self) -> int | None:
        """About how many rows the source holds, for a progress bar; None where unknown."""

    def behind(self, after: bytes | None) -> int:
        """How many rows wait after the position."""


def value_fault(column: str, value: Any) -> Fault | None:
    """What is wrong with a cell whatever its item may be."""
    if isinstance(value, (str, bytes)):
        if len(value) > MAX_VALUE:
            return Fault("value_too_long", column, "shorten it to 1 MB, or ask for another item")
        if isinstance(value, str):
            if "\x00" in value:
                return Fault("nul_byte", column, "remove the NUL byte at the source")
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                return Fault("undecodable", column, "write the cell again in the agreed encoding")
    return None
