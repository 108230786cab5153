"""Planted faults in the projection kernel, which is built anew for each, and in its programs."""

from tests.mutants.faults import Fault

LAWS = "tests/laws/test_kernel_laws.py"
SAME = f"{LAWS}::test_the_kernel_is_the_reference"
REFUSED = f"{LAWS}::test_what_is_not_canonical_is_refused_as_by_the_reference"
EVERY_BYTE = f"{LAWS}::test_cut_at_every_byte_and_every_byte_flipped"
LANDED = "tests/laws/test_landing_laws.py::test_a_batch_lands_by_the_kernel_as_by_the_reference"
MEMORY = "tests/unit/test_kernel_memory.py"
PYX = "broker/projection/kernel.pyx"
PROGRAM = "broker/projection/program.py"

KERNEL = (
    Fault(
        SAME,
        PYX,
        "if number < SETTLED or number >=",
        "if number < 0 or number >=",
        "a day is told by an offset that the city did not have then",
    ),
    Fault(
        SAME,
        PYX,
        "if count < <Py_ssize_t>step.first + step.last + HIDDEN:",
        "if count + 1 < <Py_ssize_t>step.first + step.last + HIDDEN:",
        "a short number is shown nearly whole",
    ),
    Fault(
        SAME,
        PROGRAM,
        'return (Op.KEEP if plain == item.avro else Op.OTHER), 0, 0, ""',
        'return Op.KEEP, 0, 0, ""',
        "bytes of an earlier schema's type are released as another type's",
    ),
    Fault(
        REFUSED,
        PYX,
        "if one == 0 and shift > 0:",
        "if one == 0 and shift > 63:",
        "one record has several forms: what is equal no longer compares equal",
    ),
    Fault(
        REFUSED,
        PYX,
        "return FOUND if at == end else self._count",
        "return FOUND",
        "a record with something behind it is taken for whole",
    ),
    Fault(
        EVERY_BYTE,
        PYX,
        "            if at[0] & 0xC0 != 0x80:\n                return False\n            at += 1",
        "            at += 1",
        "what is no text is released as text",
    ),
    Fault(
        LANDED,
        PYX,
        "if after is not before and after != before:",
        "if after is not before and after > before:",
        "who has left a share is still thought to be in it",
    ),
    Fault(
        LANDED,
        PYX,
        "                for slot in <tuple?>ended:\n",
        "                for slot in ended[:1]:\n",
        "who leaves two shares at once stays in one of them",
    ),
    Fault(
        LANDED,
        PYX,
        "_remember(chosen.changes, before, change)",
        "_remember(chosen.changes, nobody, change)",
        "what follows for one who is in a share is taken for one who is in none",
    ),
    Fault(
        "tests/unit/test_kernel_judging.py::test_what_is_judged_alike_is_alike",
        PYX,
        "if span.length != 18 or not _decimal_digits(span.text + 6, 4):",
        "if span.length < 10 or not _decimal_digits(span.text + 6, 4):",
        "who has no citizen's number is judged by a year that somebody else was born in",
    ),
    Fault(
        "tests/unit/test_kernel_damage.py::test_damage_is_refused_with_the_fields_name",
        PYX,
        "                return number\n",
        "                return number + 1\n",
        "who mends the source looks at the wrong item",
    ),
    Fault(
        "tests/unit/test_kernel_programs.py::test_a_broken_program_is_refused",
        PYX,
        "or first < 0 or last < 0:",
        "or first < 0:",
        "fewer characters than none are shown: what must be hidden is copied",
    ),
    Fault(
        f"{MEMORY}::test_of_divisions_and_holders_together_no_more_is_kept_than_that",
        PYX,
        "                    choices.grow(1 + len(change[0]))\n",
        "",
        "a city whose people move remembers every way from a village to another",
    ),
    Fault(
        f"{MEMORY}::test_a_long_text_that_rules_read_is_not_kept",
        PYX,
        "if key.size <= REMEMBERED:",
        "if True:",
        "sixty thousand long texts stay in memory",
    ),
)
