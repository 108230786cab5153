"""Planted faults of the connectors: see `tests.mutants.faults`."""

from tests.mutants.faults import Fault

COMPARISON = "tests/unit/test_comparison.py"
DROPS = "tests/unit/test_drops.py"
ROWS = "tests/unit/test_row_ids.py"
REPLAY = "tests/unit/test_replay.py"

CONNECTORS = (
    Fault(
        f"{ROWS}::test_a_double_entry_is_deleted_and_the_corrected_one_stays[together-1000]",
        "connectors/candidates.py",
        "winner, unclear = _winner(_rivals(some))",
        "winner, unclear = _winner(some)",
        "the deletion of a double entry takes the corrected one with it",
    ),
    Fault(
        f"{ROWS}::test_a_double_entry_is_deleted_and_the_corrected_one_stays[correction-1]",
        "connectors/collect.py",
        "return _APPENDED if one.hash else _OUTDATED",
        "return _APPENDED if one.hash else _DELETED",
        "a row that is deleted takes another row's record with it",
    ),
    Fault(
        f"{ROWS}::test_a_row_that_loses_its_new_key_leaves_nothing_under_the_old[1000]",
        "connectors/collect.py",
        "        both = (*found.winners, *found.passed)\n",
        "        both = tuple(found.winners)\n",
        "a row that another overtakes stays under its old key",
    ),
    Fault(
        f"{REPLAY}::test_a_person_deleted_at_the_source_does_not_come_back",
        "connectors/collect.py",
        "                done.batch.tables.append(self._ownership.write(one.key, fresh))\n",
        "                pass\n",
        "a replay brings back who was deleted before being collected",
    ),
    Fault(
        f"{REPLAY}::test_a_row_that_was_mended_at_the_source_is_not_undone",
        "connectors/replay.py",
        "            if changed and not row_id:\n",
        "            if False:\n",
        "a replay undoes what came since",
    ),
    Fault(
        f"{REPLAY}::test_what_is_wrong_in_another_way_is_kept_over_a_second_try",
        "broker/sources.py",
        "Way(mapping, partial(self.collector, mapping, secrets))",
        "Way(mapping, lambda one=self.collector(mapping, secrets): one)  # type: ignore[misc]",
        "a second try loses the row that is wrong in another way",
    ),
    Fault(
        f"{REPLAY}::test_a_key_that_its_other_source_deleted_waits_for_its_own",
        "connectors/replay.py",
        "if owned and owned.hash is None and owned.source != entry.source:",
        "if False:",
        "a row is dropped because another source deleted the key",
    ),
    Fault(
        f"{REPLAY}::test_a_replay_begins_anew_where_a_runner_came_between",
        "connectors/runner.py",
        "        batch.positions.append(PositionWrite(self._name, self._token, self._mine))\n",
        "",
        "two who append at once undo each other",
    ),
    Fault(
        f"{REPLAY}::test_a_source_that_disappears_is_told_and_comes_back",
        "connectors/runner.py",
        "            if name not in known\n",
        "            if name not in known and not name\n",
        "a source that disappeared is passed over",
    ),
    Fault(
        f"{COMPARISON}::test_more_than_five_percent_and_twenty_asks[380-20-True]",
        "connectors/comparison.py",
        "len(self.keys) > MOST_SHARE * self.owned",
        "len(self.keys) > 2 * MOST_SHARE * self.owned",
        "a tenth of the people is deleted unasked",
    ),
    Fault(
        f"{COMPARISON}::test_more_than_five_percent_and_twenty_asks[100-19-False]",
        "connectors/comparison.py",
        "len(self.keys) >= MOST_KEYS and ",
        "",
        "every small source asks for each deletion",
    ),
    Fault(
        f"{COMPARISON}::test_a_key_of_another_source_is_not_deleted",
        "connectors/ownership.py",
        "if owned.source == source and owned.hash is not None:",
        "if owned.hash is not None:",
        "a comparison deletes what another source gives",
    ),
    Fault(
        f"{COMPARISON}::test_what_is_wrong_now_is_not_gone",
        "connectors/comparison.py",
        "is_ours and back.mark not in met.wrong and",
        "is_ours and back.mark in met.wrong and",
        "what is wrong leaves the quarantine, what is mended stays",
    ),
    Fault(
        f"{COMPARISON}::test_what_stops_a_source_stands_until_the_deletes_are_committed",
        "connectors/runner.py",
        "        if held:  # what may be deleted now is met by reading everything\n",
        "        if held:\n            self._held.lift(source.name)\n",
        "a source goes on although what stopped it was never carried out",
    ),
    Fault(
        f"{COMPARISON}::test_what_a_comparison_by_hand_asked_about_is_deleted_when_allowed",
        "connectors/runner.py",
        "            reading = replace(reading, again=True)\n",
        "            pass\n",
        "what was allowed to be deleted stays",
    ),
    Fault(
        f"{DROPS}::test_a_whole_file_that_lacks_too_much_is_not_taken",
        "connectors/files.py",
        "            yield from self._ahead(drop, position, whole, limit)\n",
        "",
        "a file that is refused has landed half",
    ),
    Fault(
        f"{DROPS}::test_the_newest_whole_file_is_taken_away",
        "connectors/drops.py",
        "        if drop.digest in position.taken and _short(drop.name) in position.names[:-1]:\n",
        "        if False:\n",
        "the file before the newest becomes the whole again",
    ),
    Fault(
        f"{DROPS}::test_a_file_under_the_name_of_one_that_was_corrected[True]",
        "connectors/drops.py",
        "                if drop in taken and one.digest not in position.taken\n",
        "                if not drop\n",
        "a file under a corrected name is never read, and nobody is told",
    ),
    Fault(
        f"{DROPS}::test_a_correction_leaves_what_another_file_gives[False-False]",
        "connectors/drops.py",
        "covers=tuple(sorted(covers)), others=others)",
        "covers=tuple(sorted(covers)))",
        "a correction takes away what another file gives",
    ),
    Fault(
        f"{COMPARISON}::test_a_row_that_comes_back_older_than_it_was[False-7]",
        "connectors/collect.py",
        "    return whole.deletes\n",
        "    return False\n",
        "a row out of yesterday's copy is outdated for ever",
    ),
    Fault(
        f"{COMPARISON}::test_of_two_rows_of_one_key_the_later_stays[1]",
        "connectors/sql.py",
        "        key = slice(1, len(order))\n",
        "        key = slice(0, len(order))\n",
        "two rows of one key take turns at every comparison",
    ),
    Fault(
        "tests/integration/test_leaks.py::test_no_later_message_shows_a_value",
        "connectors/names.py",
        'f"column {place}" for',
        'f"column {place} {name}" for',
        "a file without a header shows somebody's name",
    ),
)
