"""Planted faults in reading rows column by column."""

from tests.mutants.faults import Fault

LAWS = "tests/laws/test_collecting_laws.py"
BATCH = f"{LAWS}::test_a_batch_is_collected_column_by_column_as_row_by_row"
COLUMN = f"{LAWS}::test_a_column_is_written_as_cell_by_cell"

COLLECTING = (
    Fault(
        BATCH,
        "connectors/ownership.py",
        "return source == self._source and before[head]",
        "return before[head]",
        "a later row takes another source's key without a word",
    ),
    Fault(
        BATCH,
        "connectors/ownership.py",
        " and not is_later",
        "",
        "a row read again puts back what was changed since",
    ),
    Fault(
        BATCH,
        "connectors/collect.py",
        "if len(set(keys)) == len(keys) and taken.isdisjoint(keys):",
        "if len(set(keys)) == len(keys):",
        "who is deleted in the same batch stays",
    ),
    Fault(
        BATCH,
        "connectors/collect.py",
        "    if any(row.id for row in rows):\n",
        "    if False:\n",
        "a row whose key changed stays under the old one",
    ),
    Fault(
        COLUMN,
        "connectors/columns.py",
        "(self._is_low and holds_identifier(together))",
        "False",
        "an ID number in an item that nearly everybody sees is collected",
    ),
    Fault(
        COLUMN,
        "connectors/citizen_ids.py",
        "    if checked != columns[-1]:\n",
        "    if False:\n",
        "a mistyped ID number is collected as another person's",
    ),
    Fault(
        COLUMN,
        "connectors/moments.py",
        "    if others or offset is None:\n",
        "    if offset is None:\n",
        "a change is dated an hour off on the days when the clocks are changed",
    ),
    Fault(
        f"{LAWS}::test_numbers_are_written_as_by_the_codec",
        "broker/projection/written.py",
        "_GOES_ON[one << 1 & 0x3FFF]",
        "_GOES_ON[one << 1 & 0x1FFF]",
        "a change is dated by another moment",
    ),
    Fault(
        f"{LAWS}::test_many_are_hashed_as_each",
        "broker/pseudonym.py",
        "hashed.finalize()[:16]",
        "hashed.finalize()[16:]",
        "records get other keys than they had: everything is collected again",
    ),
    Fault(
        f"{LAWS}::test_many_are_sealed_as_each",
        "broker/seal.py",
        "            start += _NONCE\n",
        "",
        "a nonce is used twice under one key: what is sealed can be opened and forged",
    ),
)
