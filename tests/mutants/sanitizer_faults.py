"""Planted faults of the kernel that read where nothing is: what comes out may be the same."""

from tests.mutants.faults import Fault
from tests.mutants.kernel_faults import PYX

CORPUS = "tests/fuzz/test_corpus.py"
CUT = f"{CORPUS}::test_cut_or_with_something_behind_it_is_refused_alike"
KEPT = f"{CORPUS}::test_what_was_kept_is_shown_by_the_kernel_as_by_the_reference"
PROGRAMS = "tests/unit/test_kernel_programs.py"

SANITIZED = (
    Fault(
        CUT,
        PYX,
        "span.number > end - at:",
        "span.number > end - at + 1:",
        "a text takes what stands in memory behind the record",
    ),
    Fault(
        CUT,
        PYX,
        "if at == end or (at[0] != 0 and at[0] != 2):",
        "if at[0] != 0 and at[0] != 2:",
        "the branch of a union is read behind the end",
    ),
    Fault(
        CUT,
        PYX,
        "return at + 8 if end - at >= 8 else NULL",
        "return at + 8 if end - at >= 7 else NULL",
        "a number of eight bytes is read of seven",
    ),
    Fault(
        KEPT,
        PYX,
        "if wanted > out.room:",
        "if out.size + 1 > out.room:",
        "a long text is written over what stands behind the buffer",
    ),
    Fault(
        f"{PROGRAMS}::test_as_many_characters_as_a_number_holds_are_never_there",
        PYX,
        "if count < <Py_ssize_t>step.first + step.last + HIDDEN:",
        "if count < step.first + step.last + HIDDEN:",
        "two numbers together are below zero, and characters are shown that are not there",
    ),
)
