"""Planted faults in what keeps the path right: `reconcile`, the controller, compaction.

As in `faults`; what notices is an ordinary test, which runs in seconds.
"""

from tests.mutants.faults import Fault

CONTROLLING = "tests/unit/test_controller.py"
COMPARING = "tests/integration/test_reconcile.py"
FOUND = f"{COMPARING}::test_what_is_wrong_in_a_share_is_found_by_position"
COMPACTED = "tests/contract/test_log.py::test_compaction_keeps_the_last_version_and_every_offset"
RECONCILE = "broker/relay/reconcile.py"
CONTROLLER = "broker/controller.py"
COMPACTION = "broker/log/compaction.py"
STORING = "tests/unit/test_store.py"
STORE = "broker/store/engine.py"
RENAMED = "tests/unit/test_renamed.py"
SERVICE = "broker/sharing/service.py"

PROJECTING = "tests/unit/test_projector.py"

YEARLY = "tests/unit/test_yearly.py"
LANDING = "tests/laws/test_landing_laws.py::test_a_batch_lands_by_the_kernel_as_by_the_reference"

PATH = (
    Fault(
        f"{YEARLY}::test_it_shows_nobody_again_who_moved_while_a_share_was_opening",
        "broker/relay/partition.py",
        "            self._last = None  # a catch-up has looked up to an earlier end\n",
        "",
        "a new year shows once more who has left a share while another one opened",
    ),
    Fault(
        LANDING,
        "broker/relay/routing.py",
        "share.domain, share.schema_id)",
        "share.domain)",
        "a value says that it is to be read by another share's schema",
    ),
    Fault(
        f"{PROJECTING}::test_it_is_said_in_the_log_and_in_a_metric",
        "broker/projection/projector.py",
        "if _kernel.VERSION != VERSION:",
        "if _kernel.VERSION < VERSION:",
        "a kernel that was built for another version masks as that version did",
    ),
    Fault(
        "tests/unit/test_relay_role.py::test_it_begins_by_saying_which_projection_runs",
        "broker/relay/role.py",
        "        tell_projection(self._emit)\n",
        "",
        "nobody learns why the relay is slow",
    ),
    Fault(
        f"{PROJECTING}::test_doctor_says_it_and_calls_nothing_wrong",
        "broker/doctor.py",
        "return not self.mend or self.warning",
        "return not self.mend",
        "an installation without a C compiler is called broken",
    ),
    Fault(
        FOUND,
        RECONCILE,
        "            yield Difference(MISSING, partition, wanted[key][0])\n",
        "            continue\n",
        "a record that a share lacks is overlooked",
    ),
    Fault(
        FOUND,
        RECONCILE,
        "            yield Difference(SUPERFLUOUS, partition, held[key][0])\n",
        "            continue\n",
        "a record that a share must not have is overlooked",
    ),
    Fault(
        FOUND,
        RECONCILE,
        "        elif wanted[key][1] != held[key][1]:\n",
        "        elif not held[key][1]:\n",
        "a record with another value is overlooked",
    ),
    Fault(
        f"{COMPARING}::test_a_live_share_without_a_topic_is_no_share_that_is_exact",
        RECONCILE,
        "        if not self.topic:\n",
        "        if not self.state:\n",
        "a live share without a topic counts as opening, or exact",
    ),
    Fault(
        f"{COMPARING}::test_a_live_share_whose_place_is_lost_is_not_exact",
        RECONCILE,
        "return Verdict.NOT_COMPARED if self.opening else Verdict.EXACT",
        "return Verdict.EXACT",
        "partitions that were not compared count as equal",
    ),
    Fault(
        f"{COMPARING}::test_what_moves_all_through_the_comparison_is_not_settled",
        RECONCILE,
        "found[share.id].moving += len(pending[share.id])",
        "found[share.id].moving += 0",
        "keys that never stood still count as equal",
    ),
    Fault(
        f"{COMPARING}::test_a_relay_at_work_is_no_difference",
        RECONCILE,
        "        if key in moved or (pending is not None and key not in pending):\n",
        "        if pending is not None and key not in pending:\n",
        "what the relay writes meanwhile counts as a difference",
    ),
    Fault(
        f"{CONTROLLING}::test_a_turn_without_the_store_closes_what_has_ended",
        CONTROLLER,
        "closed = self._emergency.end_overdue(self._today())",
        "closed = list[str]()",
        "an expired share stays readable while the store is away",
    ),
    Fault(
        f"{CONTROLLING}::test_who_does_not_have_the_lease_does_nothing",
        CONTROLLER,
        "                if self._lease.held():\n",
        "                if not self._lease.held():\n",
        "a controller works without the lease",
    ),
    Fault(
        "tests/unit/test_roles.py::test_a_lease_is_taken_over_when_its_beat_has_stopped",
        "broker/store/lease.py",
        "                if self._clock() - self._since < self._patience:\n",
        "                if self._clock() < self._since:\n",
        "a lease is taken over from a holder that lives",
    ),
    Fault(
        "tests/unit/test_roles.py::test_a_kept_lease_is_one_process_s_while_that_lives",
        "broker/store/kept_lease.py",
        "        while not self._over.wait(self._beat):\n            self._look()\n",
        "        self._over.wait(self._beat)\n",
        "a lease is lost while its holder works",
    ),
    Fault(
        "tests/unit/test_roles.py::test_a_kept_lease_is_nobody_s_while_the_store_is_away",
        "broker/store/kept_lease.py",
        "        except StoreError:\n            self._ours = False\n",
        "        except StoreError:\n            return\n",
        "whoever cannot ask believes that the lease is still theirs",
    ),
    Fault(
        f"{CONTROLLING}::test_a_collected_record_stays_until_it_was_relayed",
        CONTROLLER,
        "            upto = place.common.offset if place and not place.passing else 0\n",
        "            upto = end\n",
        "collected versions go before the relay has seen them",
    ),
    Fault(
        f"{CONTROLLING}::test_a_deleted_key_leaves_its_values_at_once_and_its_tombstone_in_time",
        CONTROLLER,
        "time.time_ns() // 1_000_000 - TOMBSTONES_MS",
        "time.time_ns() // 1_000_000 + 1_000",
        "a consumer that was away for a day never hears that a record is gone",
    ),
    Fault(
        f"{CONTROLLING}::test_a_deleted_key_leaves_its_values_at_once_and_its_tombstone_in_time",
        COMPACTION,
        " or (offset in gone and offset < end - 1)",
        "",
        "a tombstone, and with it that there was a record, stays for ever",
    ),
    Fault(
        COMPACTED + "[embedded]",
        COMPACTION,
        "        last[key] = offset\n",
        "        last.setdefault(key, offset)\n",
        "the newest version goes and the oldest stays",
    ),
    Fault(
        COMPACTED + "[embedded]",
        COMPACTION,
        "(offset in gone and offset < end - 1)",
        "(offset in gone)",
        "the last record of a partition goes, and readers cannot tell its end from a gap",
    ),
    Fault(
        "tests/contract/test_log.py::test_what_is_superseded_is_unreadable_in_the_file",
        "broker/log/sqlite_file.py",
        'db.execute("PRAGMA secure_delete=ON")',
        'db.execute("PRAGMA secure_delete=OFF")',
        "what was removed still stands in the file",
    ),
    Fault(
        f"{STORING}::test_of_one_process_one_at_a_time_asks_for_the_lock",
        STORE,
        "threading.Lock() if",
        "threading.Semaphore(99) if",
        "all writers of a process try for the store's lock at once, and starve each other",
    ),
    Fault(
        f"{STORING}::test_who_waits_behind_others_gives_up_as_soon_as_they",
        STORE,
        "        if not self._turn.acquire(timeout=self._patience):\n"
        "            raise self._unusable()\n",
        "        self._turn.acquire()\n        until = time.monotonic() + self._patience\n",
        "who waits behind others waits for the patience of each of them as well",
    ),
    Fault(
        f"{STORING}::test_who_waits_for_a_long_transaction_of_its_own_process_gives_up",
        STORE,
        "if not self._turn.acquire(timeout=self._patience):",
        "if not self._turn.acquire():",
        "who waits for another of its process waits without end",
    ),
    Fault(
        f"{RENAMED}::test_rights_are_taken_away_without_the_policy",
        SERVICE,
        "                take_away(connection, self._today())\n",
        "",
        "a grant that ends while the policy cannot be loaded keeps its share",
    ),
    Fault(
        f"{RENAMED}::test_the_controller_closes_what_has_ended_without_the_policy",
        CONTROLLER,
        "                self._sharing.take_away()\n",
        "",
        "what has ended stays open while the policy cannot be loaded",
    ),
    Fault(
        f"{RENAMED}::test_two_put_another_version_in_its_place",
        SERVICE,
        'return [Loosened(f"version.{self._must_be_in_force(version)}", UNREADABLE)]',
        "return []",
        "one person alone replaces a policy that can no longer be compared",
    ),
    Fault(
        "tests/integration/test_doctor.py::test_what_the_log_was_not_given_is_found",
        "broker/sqlite_options.py",
        "if found[name] != want",
        "if name not in found",
        "a log whose commits do not last, or that keeps what was removed, is called well",
    ),
    Fault(
        f"{COMPARING}::test_a_year_that_turns_meanwhile_is_no_difference",
        RECONCILE,
        "            start = 0  # a yearly pass is under way: anything may have moved\n",
        "            pass\n",
        "what a yearly pass brings while shares are compared counts as a difference",
    ),
    Fault(
        "tests/unit/test_sharing.py::test_a_lower_tier_that_shows_more_to_another_takes_two",
        "broker/sharing/foresight.py",
        'shows more")\n    _check_widening(changes, author, approver)\n',
        'shows more")\n',
        "a lower tier of one, by which another is shown more, takes one person",
    ),
    Fault(
        "tests/unit/test_pure_writer.py::test_a_send_that_expires_alone_aborts_all[1-abort]",
        "broker/log/kafka/pure.py",
        "                for one in sent:\n                    one.get(0)\n",
        "",
        "a transaction is committed of which a part was not taken",
    ),
    Fault(
        "tests/unit/test_relay.py::test_a_partition_that_is_given_away_keeps_no_memory",
        "broker/relay/worker.py",
        "            self._partitions.pop((dataset, partition)).forget()\n",
        "            self._partitions.pop((dataset, partition))\n",
        "what another worker has now fills this one's memory for good",
    ),
    Fault(
        "tests/unit/test_membership.py::test_a_set_that_is_missing_is_damage",
        "broker/relay/membership.py",
        "        if since:\n",
        "        if True:\n",
        "a damaged log is begun anew for ever, and nobody hears of it",
    ),
    Fault(
        "tests/unit/test_versions.py::test_of_each_key_the_last_record_and_no_other",
        "broker/relay/versions.py",
        "            last.update((key, self._last[key]) for key in page.keys if key in self._last)",
        "            pass",
        "of many people who moved, the latest are shown where they were before",
    ),
)
