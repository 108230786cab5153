"""Planted faults: for each law, one change to the product that the law must notice; beside
this module, the same of parts that have no law, where an ordinary test notices.

`law` is the test that must fail (a law, or a unit test that is quicker); `old` stands exactly
once in `file` and becomes `new`; `why` says what that would let out or lose.
"""

from dataclasses import dataclass

POLICY = "tests/laws/test_policy_laws.py"
PROJECTION = "tests/laws/test_projection_laws.py"
LOOSENING = "tests/laws/test_loosening_laws.py"
COMPATIBLE = "tests/laws/test_compatible_laws.py"
SHARING = "tests/unit/test_sharing.py"
LIFE = "tests/unit/test_life.py"
DECIDE = "broker/policy/decide.py"
GUARDS = "broker/policy/guards.py"
EFFECTS = "broker/policy/effects.py"
MASKS = "broker/projection/masks.py"
RESOLVING = "broker/projection/compatible.py"


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault and the law that must catch it."""

    law: str
    file: str
    old: str
    new: str
    why: str

    def __str__(self) -> str:
        return self.law.rpartition("::")[2]


FAULTS = (
    Fault(
        f"{COMPATIBLE}::test_what_is_called_readable_is_read",
        RESOLVING,
        'return set(writer["symbols"]) <= set(reader["symbols"])',
        'return bool(set(writer["symbols"]) & set(reader["symbols"]))',
        "a value that its reader does not know is called readable",
    ),
    Fault(
        f"{COMPATIBLE}::test_a_schema_reads_itself_and_what_lacks_a_field_with_a_default",
        RESOLVING,
        '            else "default" in one\n',
        "            else True\n",
        "a field that nothing fills is called readable",
    ),
    Fault(
        f"{COMPATIBLE}::test_what_is_called_alike_has_the_same_bytes",
        RESOLVING,
        '[one["name"], _written_out(one["type"], space), one.get("default", ...)]',
        '[one["name"], one.get("default", ...)]',
        "an id is taken under which another schema stands: values are read as what they are not",
    ),
    Fault(
        f"{COMPATIBLE}::test_a_logical_type_is_no_other",
        RESOLVING,
        '    return schema["logicalType"], schema.get("precision"), schema.get("scale", 0)\n',
        '    return (schema["logicalType"],)\n',
        "an amount is read as ten times as much",
    ),
    Fault(
        f"{COMPATIBLE}::test_a_type_that_is_named_is_looked_up",
        RESOLVING,
        "schema = named[_last(schema)]\n",
        "return schema\n",
        "two types of one name are taken for one",
    ),
    Fault(
        f"{POLICY}::test_nothing_without_an_active_grant",
        "broker/policy/model.py",
        "return not self.ended and self.valid_from <= on <= self.valid_until",
        "return not self.ended and self.valid_from <= on",
        "an expired grant goes on giving",
    ),
    Fault(
        f"{POLICY}::test_nothing_that_was_not_asked_for",
        DECIDE,
        "elif item.name not in grant.items:",
        "elif item.name not in grant.items and item.level > 1:",
        "items of L1 leave unasked",
    ),
    Fault(
        f"{POLICY}::test_adding_a_limit_never_discloses_more",
        DECIDE,
        "    for _, _, cap, _ in caps:\n        effect = meet(item.kind, effect, cap)\n",
        "    for by, _, cap, _ in caps:\n"
        '        effect = cap if by == "limit" else meet(item.kind, effect, cap)\n',
        "a limit sets the effect instead of capping it",
    ),
    Fault(
        f"{POLICY}::test_forbid_beats_relax",
        DECIDE,
        "        if forbid.rows is None and _covers(forbid.target, item, grant, dataset):",
        "        if not policy.relaxes and _covers(forbid.target, item, grant, dataset):",
        "a forbid is passed over wherever the policy has a relax",
    ),
    Fault(
        f"{POLICY}::test_guards_never_disclose_more",
        GUARDS,
        "following[item.name] = meet(kind, following[item.name], effect)",
        "following[item.name] = effect",
        "a guard sets the effect, also to more than it was",
    ),
    Fault(
        f"{POLICY}::test_adding_a_guard_never_discloses_more_on_items_no_other_guard_reads",
        GUARDS,
        "        for guard in guards:\n",
        "        for guard in guards[-1:]:\n",
        "the last guard stands alone",
    ),
    Fault(
        f"{POLICY}::test_order_of_rules_guards_and_holdings_does_not_matter",
        DECIDE,
        "loosest_of(item.kind, [tier, *(effect for effect, _ in lifting.values())])",
        "[tier, *(effect for effect, _ in lifting.values())][-1]",
        "the last relax wins",
    ),
    Fault(
        f"{POLICY}::test_edges_stand_only_where_what_they_show_is_kept",
        GUARDS,
        "any(state[other.name] == KEEP for other in",
        'any(state[other.name].name != "decade" for other in',
        "edges beside an item that is masked or dropped",
    ),
    Fault(
        f"{POLICY}::test_a_relax_never_beats_a_limit",
        DECIDE,
        "        for limit in policy.limits\n",
        "        for limit in policy.limits if not policy.relaxes\n",
        "a limit is passed over wherever the policy has a relax",
    ),
    Fault(
        f"{POLICY}::test_the_reasons_of_an_item_are_all_that_determined_it",
        DECIDE,
        '        lowered += [Reason("relax", name, cap, title) for name, title in names]\n',
        "",
        "a relax of the presence level is not among the reasons",
    ),
    Fault(
        f"{POLICY}::test_meet_is_a_meet",
        EFFECTS,
        "    return other if at_most(kind, other, one) else DROP\n",
        "    return one\n",
        "the meet gives the first where the second is stricter",
    ),
    Fault(
        f"{POLICY}::test_unknown_is_settled_only_where_every_value_agrees",
        "broker/policy/predicate.py",
        "            return None if answer is None else not answer\n",
        "            return not answer\n",
        "not(unknown) becomes true",
    ),
    Fault(
        f"{POLICY}::test_unknown_never_releases_a_row",
        "broker/policy/rows.py",
        "return all(evaluate(forbid, record, year) is False for forbid in rule.forbids)",
        "return not any(evaluate(forbid, record, year) for forbid in rule.forbids)",
        "a row whose forbid is unknown leaves",
    ),
    Fault(
        f"{PROJECTION}::test_what_is_hidden_does_not_interfere",
        MASKS,
        "    masked = value[:first] + STARS[name] + value[len(value) - last :]",
        '    masked = value[:first] + "*" * (len(value) - first) + value[len(value) - last :]',
        "the stars count the hidden characters",
    ),
    Fault(
        f"{PROJECTION}::test_no_withheld_text_reaches_a_share",
        MASKS,
        '    masked = "".join(shown)\n',
        '    masked = f"{address}。"\n',
        "a masked address carries the whole address",
    ),
    Fault(
        f"{PROJECTION}::test_a_coarser_mask_is_a_function_of_the_finer_one",
        MASKS,
        '    "decade": lambda day: day.year // 10 * 10,\n',
        '    "decade": lambda day: day.year + day.month,\n',
        "a decade tells the month",
    ),
    Fault(
        f"{PROJECTION}::test_a_share_holds_the_released_fields_and_no_other",
        "broker/projection/reference.py",
        "            value = record.get(item)\n",
        "            value = record.pop(item)\n",
        "projecting eats the record",
    ),
    Fault(
        "tests/laws/test_log_model.py::test_the_log_is_its_model",
        "broker/log/embedded.py",
        "                if (row[0] if row else None) != move.expected:",
        "                if row and row[0] != move.expected:",
        "a position that was never set may be moved from anywhere",
    ),
    Fault(
        "tests/laws/test_path_model.py::test_every_share_equals_the_recomputation[1]",
        "broker/relay/task.py",
        "                if share in self._numbers\n",
        "                if share in self._numbers and not places\n",
        "a record that moves from one share to another leaves no tombstone",
    ),
    Fault(
        "tests/laws/test_life_model.py::test_at_every_moment_a_share_is_what_the_policy_says",
        "broker/relay/task.py",
        "        mine = held - self._others if self._mine is None else held & self._mine\n",
        "        mine = held\n",
        "the common pass and a catch-up take each other's places",
    ),
    Fault(
        "tests/laws/test_source_laws.py::test_a_table_that_is_compared_is_collected_as_it_stands",
        "connectors/aside.py",
        "            met.keys |= keys | self._ownership.last_keys(unread)\n",
        "            met.keys |= self._ownership.last_keys(unread)\n",
        "a mistyped row counts as gone: the good version is withdrawn",
    ),
    Fault(
        "tests/laws/test_row_laws.py::test_under_a_key_stands_the_latest_row_that_has_it",
        "connectors/collect.py",
        "                left.pop(one.key, None)\n",
        "",
        "a row that takes over a key loses it to the row that gave it up",
    ),
    *(
        Fault(f"{LOOSENING}::test_what_shows_anybody_more_is_found[{hand}]", file, old, new, why)
        for hand, file, old, new, why in (
            (
                0,
                "broker/policy/loosening.py",
                "at_most(kind, new.tier_mask.get(kind, DROP), old.tier_mask.get(kind, DROP))",
                "at_most(kind, old.tier_mask.get(kind, DROP), new.tier_mask.get(kind, DROP))",
                "the tier table is compared the wrong way round",
            ),
            (
                1,
                "broker/policy/loosening.py",
                "covers(target, point) and _at_most(point, cap, effect) for target, cap in caps",
                "covers(target, point) for target, cap in caps",
                "a limit is raised by one person alone",
            ),
            (
                2,
                "broker/policy/reach.py",
                "        and point.department not in target.not_departments\n",
                "",
                "a rule is narrowed to all but one department by one person alone",
            ),
            (
                3,
                "broker/policy/loosening.py",
                "for one in new.forbids if one.rows == rule.rows]",
                "for one in new.forbids if one.rows]",
                "other rows are forbidden than before",
            ),
            (
                4,
                "broker/policy/loosening.py",
                "if signed(one) and one.expires >= rule.expires]",
                "if signed(one)]",
                "a relax that was over is made valid again by one person alone",
            ),
            (
                6,
                "broker/policy/loosening.py",
                "other == kind and at_most(kind, cap, effect)",
                "other == kind",
                "a guard degrades less",
            ),
            (
                7,
                "broker/policy/loosening.py",
                "one.presence is not None and one.presence <= rule.presence",
                "one.presence is not None",
                "a presence level is lowered further",
            ),
            (
                8,
                "broker/policy/interplay.py",
                "stops = guard in can_fire and any(",
                "stops = guard in old.guards[1:] and any(",
                "what one guard asked for is hidden, and what it withheld is shown",
            ),
        )
    ),
    Fault(
        f"{LOOSENING}::test_what_is_only_stricter_is_no_loosening",
        "broker/policy/loosening.py",
        "before = [one for one in _as_long(old, rule) if one.effect is not None]",
        "before = [one for one in _as_long(old, rule) if one.effect is None]",
        "every relax that stays asks for an approver",
    ),
    Fault(
        f"{LOOSENING}::test_the_same_said_otherwise_is_no_loosening",
        "broker/policy/loosening.py",
        "if not all(_capped(point, effect, still) for point in points):",
        "if not any(target == rule.target for target, _ in still):",
        "a rule that is split asks for an approver",
    ),
    Fault(
        f"{SHARING}::test_a_share_lives_as_long_as_an_active_grant",
        "broker/sharing/audiences.py",
        "if name in forms and lawful(forms[name], one.decision, generations, dataset):",
        "if name in forms:",
        "the read right stays until somebody has closed the share",
    ),
    Fault(
        f"{LIFE}::test_revoking_closes_topic_and_key_and_leaves_nothing_behind",
        "broker/sharing/settling.py",
        "shares.c.id.not_in(set(carried) - {None}))",
        "shares.c.id.not_in(set(carried) - {None}), shares.c.state == OPENING)",
        "a share that nobody may read any more is not closed",
    ),
    Fault(
        f"{LIFE}::test_a_large_share_is_wiped_in_bounded_steps",
        "broker/sharing/life.py",
        "        if not self._log.wiped(within):\n",
        "        if self._log.wiped(within) is None:\n",
        "a share is called closed while its values still stand in the file",
    ),
    Fault(
        f"{LIFE}::test_a_wider_decision_opens_first_and_then_takes_the_place",
        "broker/sharing/settling.py",
        "    return Place(current.id, target.id)\n",
        "    return Place(target.id)\n",
        "a purely wider decision closes before the new share is live",
    ),
    Fault(
        f"{LIFE}::test_wider_in_one_item_and_narrower_in_another_closes_at_once",
        "broker/sharing/share.py",
        "    return within(effects_from_json(form.effects), rows, decision, dataset)\n",
        "    return True\n",
        "what shows too much is read until its successor is live",
    ),
    Fault(
        f"{SHARING}::test_equal_grants_of_one_department_use_one_share",
        "broker/sharing/settling.py",
        "target = by_form.get(form.identity)",
        "target = by_form.get(one.grant.id)",
        "equal grants get two shares",
    ),
    Fault(
        f"{LIFE}::test_suspending_ends_and_resuming_opens_another_share",
        "broker/sharing/grants.py",
        'ended=row["state"] != ACTIVE,',
        'ended=row["state"] in (TERMINATED, EXPIRED),',
        "a suspended grant still reads",
    ),
    Fault(
        f"{SHARING}::test_a_clock_that_is_set_back_revives_nothing",
        "broker/sharing/service.py",
        "expired = ledger.expire(connection, self._today())",
        "expired = False",
        "an expired grant is revived",
    ),
    Fault(
        f"{LIFE}::test_an_item_that_falls_to_pseudonym_gets_its_domain_a_new_key",
        "broker/sharing/domains.py",
        "found[name] = generation + bool(fallen)",
        "found[name] = generation",
        "the copy in clear unlocks the pseudonyms",
    ),
    Fault(
        f"{SHARING}::test_what_was_shown_once_still_holds_when_it_is_hidden_now",
        "broker/sharing/decided.py",
        "released = _joined(one.released, decision, dataset)",
        "released = _joined({}, decision, dataset)",
        "what a department once got is forgotten",
    ),
    Fault(
        f"{SHARING}::test_what_a_suspended_or_a_future_grant_will_get_is_seen[PENDING]",
        "broker/sharing/decided.py",
        "if state in (SUSPENDED, PENDING):",
        "if state == SUSPENDED:",
        "one person alone widens what a future grant will get",
    ),
    Fault(
        f"{SHARING}::test_a_tier_is_raised_by_two_and_lowered_by_one",
        "broker/sharing/foresight.py",
        "if not approver.strip() or same_person(author, approver):",
        "if not approver.strip() or author == approver:",
        "one person under two spellings raises a tier",
    ),
    Fault(
        f"{SHARING}::test_a_looser_rule_needs_another_person_although_nobody_has_a_grant",
        "broker/sharing/foresight.py",
        "    if looser:\n",
        "    if looser[1:]:\n",
        "one person alone loosens a rule that nobody's grant meets yet",
    ),
)
