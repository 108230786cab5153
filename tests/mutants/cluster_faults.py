"""Planted faults in who may read on a cluster. As in `faults`."""

from tests.mutants.faults import Fault

LAG = "tests/unit/test_lag.py"
MIGRATING = "tests/unit/test_migration.py"
MIGRATION = "broker/migration.py"
GOLDEN = "tests/unit/test_golden.py"
READING = "tests/unit/test_reading.py"
RIGHTS = "broker/sharing/reading.py"

CLUSTER = (
    Fault(
        f"{READING}::test_a_right_is_given_with_life_and_taken_before_the_topic_goes",
        RIGHTS,
        "            if one.share.state == LIVE\n",
        "",
        "a share that is still catching up may be read",
    ),
    Fault(
        f"{READING}::test_a_right_is_given_with_life_and_taken_before_the_topic_goes",
        "broker/sharing/life.py",
        "        self.unconfirmed = self._reading.settle(fresh)\n",
        "        self.close(within)\n        self.unconfirmed = self._reading.settle(fresh)\n",
        "a topic goes before the right to it",
    ),
    Fault(
        f"{READING}::test_what_ends_is_taken_before_anything_is_given",
        RIGHTS,
        "        self._cluster.take(ended)\n        self._cluster.give(wanted - held)\n",
        "        self._cluster.give(wanted - held)\n        self._cluster.take(ended)\n",
        "rights are given while what has ended can still be read",
    ),
    Fault(
        f"{READING}::test_who_has_no_user_of_ours_gets_no_right",
        "broker/sharing/credentials.py",
        "        self.must_be_free(consumer)\n",
        "",
        "a consumer takes over a user that the city had before",
    ),
    Fault(
        f"{READING}::test_a_share_is_closed_once_every_broker_confirms",
        "broker/sharing/life.py",
        "        if self.unconfirmed:\n",
        "        if self.unconfirmed is None:\n",
        "a revocation counts as done although a broker has not confirmed it",
    ),
    Fault(
        f"{READING}::test_a_share_is_closed_once_every_broker_confirms",
        RIGHTS,
        "self._left(ended | rights_to(self._given.ending()))",
        "self._left(ended)",
        "who looks again believes what one broker says",
    ),
    Fault(
        f"{READING}::test_nobody_gives_back_what_an_emergency_took",
        RIGHTS,
        "if one[0] in users and one not in cut",
        "if one[0] in users",
        "a right that an emergency took is given back before the store knows",
    ),
    Fault(
        f"{READING}::test_the_last_day_takes_a_right_without_the_store",
        "broker/sharing/emergency.py",
        "        over = {(one.consumer, one.topic) for one in known} - stand\n",
        "        over = set[tuple[str, str]]()\n",
        "a grant that is over is read as long as the store is away",
    ),
    Fault(
        f"{READING}::test_a_policy_that_cannot_be_loaded_gives_nothing_and_keeps_what_stands",
        RIGHTS,
        "            return self._given.standing() & self._held()\n",
        "            return self._given.standing()\n",
        "a right is given although nothing can be decided",
    ),
    Fault(
        f"{READING}::test_what_nobody_granted_is_told_once",
        RIGHTS,
        "        strays = self.strays(unwanted) - routine\n",
        "        strays = self.strays(unwanted) - taken\n",
        "a right on a shared topic that nobody granted goes untold",
    ),
    Fault(
        f"{READING}::test_a_right_is_given_with_life_and_taken_before_the_topic_goes",
        RIGHTS,
        "        ended = {one for one in held - wanted if reads_shared(one)}\n",
        "        ended = set[Right]()\n",
        "a right outlives its grant",
    ),
    Fault(
        f"{LAG}::test_lag_is_what_is_waiting_and_nothing_once_it_is_relayed",
        "broker/relay/lag.py",
        '        found.append(place if own == JOINED else int.from_bytes(own or b"", "big"))\n',
        "        found.append(place)\n",
        "a share that is still catching up counts as caught up",
    ),
    Fault(
        f"{LAG}::test_where_the_log_does_not_answer_that_is_said",
        "broker/relay/lag.py",
        "            reached.add_metric((), 0)\n",
        "            reached.add_metric((), 1)\n",
        "a log that does not answer counts as reached",
    ),
    Fault(
        "tests/unit/test_health.py::test_a_part_that_does_not_answer_is_not_waited_for",
        "broker/web/health.py",
        "asked.wait(PATIENCE)",
        "asked.wait()",
        "who asks whether the process is ready waits as long as what hangs",
    ),
    Fault(
        f"{MIGRATING}::test_broken_off_at_any_step_it_goes_on_where_it_was",
        MIGRATION,
        "                self._target.commit(Batch(appends=appends, positions=moves))\n",
        "                self._target.commit(Batch(appends=appends))\n"
        "                self._target.commit(Batch(positions=moves))\n",
        "records are copied twice where a migration is broken off",
    ),
    Fault(
        f"{MIGRATING}::test_what_differs_is_found",
        MIGRATION,
        "hashlib.sha256(one.value).digest()",
        "hashlib.sha256(one.key).digest()",
        "a migration takes other values for the same",
    ),
    Fault(
        f"{MIGRATING}::test_what_differs_is_found",
        MIGRATION,
        "        found is None or key in mine for key, (_, found) in theirs.items()\n",
        "        True for key, (_, found) in theirs.items()\n",
        "a migration does not notice what the cluster has besides",
    ),
    Fault(
        f"{MIGRATING}::test_a_source_that_went_on_meanwhile_is_carried_over_as_it_is",
        MIGRATION,
        "                yield TableWrite(table, partition, theirs[0], None)\n",
        "",
        "what the source has given up meanwhile stays in the cluster's tables",
    ),
    Fault(
        f"{MIGRATING}::test_what_is_lacking_or_was_never_right_is_no_later_version",
        MIGRATION,
        "(upto is None or offset < upto)",
        "(upto is None or 0 <= offset < upto)",
        "once it is done, a migration takes what is lacking for a later version",
    ),
    Fault(
        f"{MIGRATING}::test_what_is_lacking_or_was_never_right_is_no_later_version",
        MIGRATION,
        "(upto is None or offset < upto)",
        "(upto is None or offset < 0)",
        "once it is done, a migration takes what was never right for a later version",
    ),
    Fault(
        f"{MIGRATING}::test_nobody_begins_on_a_cluster_without_what_belongs_there",
        MIGRATION,
        "    if origin is not None and target.position(DONE) is None:\n",
        "    if origin is None and target.position(DONE):\n",
        "another machine begins to work on what is carried over by half",
    ),
    Fault(
        f"{MIGRATING}::test_nobody_begins_on_a_cluster_without_what_belongs_there",
        MIGRATION,
        "        if used and (origin is None or own.position(ORIGIN) != origin):\n",
        "        if used and origin is None:\n",
        "a folder's own log is passed over because another one was carried over",
    ),
    Fault(
        "tests/integration/test_migration.py::test_it_runs_alone",
        "broker/base.py",
        "            work.enter_context(self.presence.among())\n",
        "",
        "a connector is run in the middle of a migration",
    ),
    Fault(
        f"{MIGRATING}::test_a_target_that_is_in_use_is_refused",
        MIGRATION,
        "        if theirs is not None or any("
        "name.startswith(OURS) for name in self._target.topics()):\n",
        "        if theirs is not None:\n",
        "a migration mixes its records with those of another city",
    ),
    Fault(
        f"{GOLDEN}::test_sealed_records_open_and_say_what_they_said",
        "broker/seal.py",
        '    return header + len(name).to_bytes(2, "big") + name + key\n',
        '    return header + len(name).to_bytes(4, "big") + name + key\n',
        "what an earlier version sealed opens no more",
    ),
    Fault(
        f"{GOLDEN}::test_a_share_is_what_it_was",
        "broker/pseudonym.py",
        '    return hmac.digest(secret, data, "sha256")[:16]\n',
        '    return hmac.digest(secret, data, "sha512")[:16]\n',
        "keys and pseudonyms are no longer what consumers have",
    ),
    Fault(
        f"{GOLDEN}::test_what_is_sealed_today_has_the_same_form",
        "broker/seal.py",
        "self._aead.encrypt(nonce, body, _bound(header, topic, key))",
        "self._aead.encrypt(nonce, body, header)",
        "an earlier version cannot open what is sealed today, and the other way round",
    ),
    Fault(
        f"{GOLDEN}::test_a_key_lies_in_the_partition_that_it_lay_in",
        "broker/log/topics.py",
        "zlib.crc32(key)",
        "zlib.adler32(key)",
        "the versions of a record are spread over two partitions, and both stand",
    ),
    Fault(
        f"{GOLDEN}::test_a_share_is_what_it_was",
        "broker/registry.py",
        '_FRAME = struct.Struct(">bI")',
        '_FRAME = struct.Struct("<bI")',
        "no ordinary client can read a share any more",
    ),
)
