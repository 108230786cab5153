"""Planted faults of shares that open, and of how much a batch of the relay may be."""

from tests.mutants.faults import Fault

OPENING = "tests/unit/test_opening.py"
RELAYING = "tests/unit/test_relay.py"
PARTITION = "broker/relay/partition.py"
WORKER = "broker/relay/worker.py"

OPENINGS = (
    Fault(
        f"{OPENING}::test_a_share_that_opens_beside_another_gets_nothing_that_was_superseded_by_then",
        PARTITION,
        "        if not places.keys() <= self._opening:\n",
        "        if False:\n",
        "who left a town is shown to a share that opened there afterwards",
    ),
    Fault(
        f"{OPENING}::test_a_share_that_opens_and_is_not_shown_for_a_moment_loses_nobodys_tombstone",
        WORKER,
        'return self._log.position(f"{share_positions(share.id)}{partition}") is not None',
        'return self._log.position(f"{share_positions(share.id)}{partition}") == b"joined"',
        "who leaves while a broker has not heard of a share stays in it for ever",
    ),
    Fault(
        f"{OPENING}::test_who_is_too_old_stays_out_whatever_changes_after_the_year_has_turned",
        "broker/relay/plan.py",
        "        name = mine, others, year, again\n",
        "        name = mine, others, again\n",
        "after the year has turned ages are judged by the year before",
    ),
    Fault(
        f"{OPENING}::test_of_what_is_superseded_more_is_read_at_once",
        PARTITION,
        "        del found[most:]\n",
        "",
        "an opening share takes as long as it likes, and who is live waits",
    ),
    Fault(
        f"{OPENING}::test_who_wants_no_turn_any_more_keeps_nobody_waiting",
        "broker/relay/slices.py",
        "{one: None for one in self._waiting if one in self._asked}",
        "dict(self._waiting)",
        "shares open no more once some that waited have ended",
    ),
    Fault(
        f"{RELAYING}::test_what_is_too_much_for_a_commit_is_tried_with_less",
        PARTITION,
        "        pace.failed(written)\n",
        "",
        "a batch that does not land in a transaction's time is tried again for ever",
    ),
    Fault(
        f"{RELAYING}::test_what_a_batch_writes_is_bounded",
        PARTITION,
        "_WRITTEN // plan.most",
        "_WRITTEN",
        "long texts for many shares fill the memory",
    ),
)
