"""Planted faults of shares that open, and of how much a batch of the relay may be."""

from tests.mutants.faults import Fault

OPENING = "tests/unit/test_opening.py"
RELAYING = "tests/unit/test_relay.py"
PARTITION = "broker/relay/partition.py"
WORKER = "broker/relay/worker.py"
TOGETHER = "tests/unit/test_joint.py"
JOINT = "broker/relay/joint.py"

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
        "broker/relay/pages.py",
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
        "broker/relay/pace.py",
        "            self.failed(written)\n",
        "            pass\n",
        "a batch that does not land in a transaction's time is tried again for ever",
    ),
    Fault(
        f"{RELAYING}::test_what_a_batch_writes_is_bounded",
        PARTITION,
        "WRITTEN // plan.most",
        "WRITTEN",
        "long texts for many shares fill the memory",
    ),
    Fault(
        f"{TOGETHER}::test_what_is_small_lands_together",
        JOINT,
        "for _, one in self.waiting.values()) >= self._most",
        "for _, one in self.waiting.values()) >= 0",
        "each partition has a transaction of its own, and a change waits for eight",
    ),
    Fault(
        f"{TOGETHER}::test_a_commit_has_about_as_many_records_as_a_batch",
        JOINT,
        "for _, one in self.waiting.values()) >= self._most",
        "for _, one in self.waiting.values()) >= 10**9",
        "large batches of all partitions wait in memory for each other",
    ),
    Fault(
        f"{TOGETHER}::test_a_commit_has_about_as_many_records_as_a_batch",
        PARTITION,
        "below == there and (ahead is not None or all_read)",
        "True",
        "of what came at once a part is left until the next change",
    ),
    Fault(
        f"{TOGETHER}::test_a_commit_has_only_so_many_bytes",
        JOINT,
        "waiting + made.bytes <= WRITTEN",
        "True",
        "long texts of several partitions make a transaction that cannot be landed",
    ),
    Fault(
        f"{TOGETHER}::test_what_one_partition_is_refused_holds_up_no_other",
        WORKER,
        "            apart += numbers\n            return\n",
        "            raise\n",
        "a partition that cannot be written holds up all others",
    ),
    Fault(
        f"{TOGETHER}::test_what_is_not_landed_is_not_remembered",
        WORKER,
        "        if made is None:\n            self._partitions",
        "        if True:\n            self._partitions",
        "a batch that did not land is passed over until the next change",
    ),
    Fault(
        "tests/unit/test_relay_role.py::"
        "test_another_state_of_sharing_or_another_year_is_a_look_at_everything",
        "broker/relay/upto.py",
        "self.settled = fresh and not",
        "self.settled = not",
        "a year that is ordered within a moment of a look is never begun",
    ),
    Fault(
        f"{TOGETHER}::test_what_was_read_for_another_place_is_not_taken",
        PARTITION,
        "ahead[1] if ahead and ahead[0] == start else None",
        "ahead[1] if ahead else None",
        "what another relay has landed meanwhile is written once more",
    ),
    Fault(
        f"{TOGETHER}::test_what_is_read_together_is_relayed_as_what_is_read_alone",
        PARTITION,
        "there = bisect_left(found.offsets, end)",
        "there = min(limit, bisect_left(found.offsets, end))",
        "of what was read together a part is left until the next change",
    ),
)
