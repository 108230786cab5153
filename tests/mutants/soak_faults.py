"""Planted faults of what must stay right under trouble: kills, damage, a full disk, a clock set
back, several processes at once. See `tests.mutants.faults`; each takes seconds to a minute, so
they run by `./run soak` alone.
"""

from tests.mutants.faults import Fault

AWAY = "tests/faults/test_away.py"
CLOCK = "tests/faults/test_clock.py"
DAMAGE = "tests/faults/test_damage.py"
FULL = "tests/faults/test_full.py"
KILL = "tests/faults/test_kill.py"
LOCKED = "tests/faults/test_locked.py"
MEANWHILE = "tests/faults/test_meanwhile.py"
PROCESSES = "tests/faults/test_processes.py"
ROLES = "tests/faults/test_role_kills.py"
EMBEDDED = "broker/log/embedded.py"
INSERTING = "broker/log/inserting.py"
LIFE = "broker/sharing/life.py"
PARTITION = "broker/relay/partition.py"

_READ = """            ).fetchall()
        return list(map(Stored._make, rows))
"""
_READ_HALF = """            )
            found = []
            try:
                for row in rows:
                    found.append(Stored(*row))
            except sqlite3.DatabaseError:
                pass
        return found
"""
_LAND = "        self._log.commit(landing.batch)\n"
_LAND_APART = """        self._log.commit(type(landing.batch)(positions=landing.batch.positions))
        landing.batch.positions = []
        self._log.commit(landing.batch)
"""
_TURN = """        self._log.commit(batch)
        self._token = self._mine
"""
_TURN_APART = f"""        self._log.commit(Batch(positions=batch.positions))
        batch.positions = []
{_TURN}"""
_HEAD = """        ((*place, offset) for place, offset in heads.items()),
    )
"""
_HEAD_AND_COMMIT = f"""{_HEAD}    db.execute("COMMIT")
    db.execute("BEGIN IMMEDIATE")
"""
_LACKING = "    known = known_topics(db, {run.topic for run in runs})\n"
_LACKING_MADE = f"""    db.executemany(
        "INSERT OR IGNORE INTO topic (name, partitions) VALUES (?, 4)",
        [(run.topic,) for run in runs],
    )
{_LACKING}"""
_WRITING = "        with self._writing() as db:\n"
_COMMIT = f"""{_WRITING}            for move in batch.positions:
                row = db.execute("SELECT value FROM position WHERE name=?", (move.name,)).fetchone()
"""
# slowly, so that the moment between reading and committing is met
_COMMIT_ANYHOW = f"""        time.sleep(0.05)
{_WRITING}            for one in batch.all_runs():
                db.execute(
                    "INSERT OR IGNORE INTO topic (name, partitions) VALUES (?, 4)", (one.topic,)
                )
{_COMMIT.removeprefix(_WRITING)}                row = row or (move.expected,)
"""
_CLOSED = """        if not self._log.wiped(within):
            return []  # an older state is still read, or it takes too long: tried again
        moved = self._move([name for name, _, _ in closing], CLOSING, CLOSED)
"""
_CLOSED_FIRST = """        moved = self._move([name for name, _, _ in closing], CLOSING, CLOSED)
        if not self._log.wiped(within):
            return []
"""
HOLDS = """        while not stop.is_set():
            mine = [one for one in self._datasets if self._is_ours(one)]
"""
HOLDS_ONCE = """        mine = [one for one in self._datasets if self._is_ours(one)]
        while not stop.is_set():
"""
_RECORD = """        with self._store.writing() as connection:
            connection.execute(
"""
_RECORD_LATER = """        pull, self._kept = getattr(self, "_kept", None), pull
        if pull is None:
            return
        with self._store.writing() as connection:
            connection.execute(
"""

SOAK = (
    Fault(
        f"{AWAY}::test_the_share_that_held_it_gets_its_tombstone[moved]",
        "broker/relay/landing.py",
        "        landing.batch.entries.extend(self._membership.changes(landing.moved))\n",
        "",
        "which share holds a record is remembered in the relay's memory alone",
    ),
    Fault(
        f"{AWAY}::test_the_share_that_held_it_gets_its_tombstone[deleted]",
        "broker/relay/task.py",
        "                if share in self._numbers\n",
        "                if share in self._numbers and places\n",
        "who is deleted stays in the shares that had him",
    ),
    Fault(
        f"{AWAY}::test_also_where_the_share_was_in_the_middle_of_opening[moved]",
        "broker/relay/task.py",
        "if self._mine is None else held & self._mine",
        "if self._mine is None else frozenset()",
        "a share that is opening keeps what was taken away since it began",
    ),
    Fault(
        f"{CLOCK}::test_a_share_that_had_ended_never_comes_back",
        "broker/policy/model.py",
        "return not self.ended and self.valid_from <= on <= self.valid_until",
        "return self.valid_from <= on <= self.valid_until",
        "the wrong hour opens a share for whom the day was over",
    ),
    Fault(
        f"{CLOCK}::test_a_new_year_is_not_taken_back",
        "broker/relay/yearly.py",
        "    if known >= year:\n",
        "    if known == year:\n",
        "a clock that is set back takes the new year back",
    ),
    Fault(
        f"{CLOCK}::test_the_roles_go_on",
        "broker/relay/role.py",
        "            if state == done:\n",
        "            if state == done or (done and state[1][1] < done[1][1]):\n",
        "the relay waits until the clock is where it was",
    ),
    Fault(
        f"{CLOCK}::test_what_was_deleted_stays_known_for_its_time",
        "broker/controller.py",
        "time.time_ns() // 1_000_000 - TOMBSTONES_MS",
        "time.time_ns() // 1_000_000",
        "a deletion is forgotten before its readers have seen it",
    ),
    Fault(
        f"{CLOCK}::test_cursors_go_on",
        "broker/web/cursor.py",
        "return now - self.since > DAYS * 24 * 3600",
        "return not 0 <= now - self.since <= DAYS * 24 * 3600",
        "a cursor from an hour still to come is refused",
    ),
    Fault(
        f"{DAMAGE}::test_every_damaged_page_is_refused_or_not_met",
        EMBEDDED,
        _READ,
        _READ_HALF,
        "of a damaged page half is read, and passes for the whole",
    ),
    Fault(
        f"{DAMAGE}::test_a_damaged_share_never_looks_whole_over_http",
        "broker/web/stream.py",
        "            return error if isinstance(error, Refusal) else away()\n",
        "            return None\n",
        "a copy that breaks off where the damage is looks whole",
    ),
    Fault(
        f"{DAMAGE}::test_offsets_out_of_range",
        INSERTING,
        "    if not 0 <= partition < partitions:\n",
        "    if not partitions:\n",
        "a partition that there is not reads as an empty one",
    ),
    Fault(
        f"{DAMAGE}::test_a_relay_position_behind_the_end_is_refused",
        PARTITION,
        "            self._check_reachable()\n",
        "",
        "on another log everything up to the old position is passed over",
    ),
    Fault(
        f"{FULL}::test_no_space_for_the_log_and_space_again",
        "broker/log/sqlite_file.py",
        "        if code == sqlite3.SQLITE_FULL:\n",
        "        if code == sqlite3.SQLITE_FULL:\n            return\n",
        "a commit that found no room counts as landed, and nobody is told",
    ),
    Fault(
        f"{FULL}::test_no_space_for_a_share_and_space_again",
        "broker/roles.py",
        "            tell(role.name, str(error))\n",
        "            tell(role.name, str(error))\n            return\n",
        "a role that found no room stays away when there is room again",
    ),
    Fault(
        f"{FULL}::test_no_space_for_the_store_and_space_again",
        "broker/web/delivery.py",
        "        self._pulls.record(\n",
        '        with __import__("contextlib").suppress(Exception): self._pulls.record(\n',
        "what cannot be recorded leaves all the same",
    ),
    Fault(
        f"{KILL}::test_twenty_kills_and_every_share_is_exact",
        PARTITION,
        _LAND,
        _LAND_APART,
        "the relay's position lands before what was written up to it",
    ),
    Fault(
        f"{KILL}::test_twenty_kills_and_every_share_is_exact",
        "connectors/runner.py",
        _TURN,
        _TURN_APART,
        "a source's position lands before the rows that were read up to it",
    ),
    Fault(
        f"{LOCKED}::test_nothing_unlawful_leaves_and_everything_goes_on",
        "broker/controller.py",
        "closed = self._emergency.end_overdue(self._today())",
        "closed = list[str]()",
        "what has ended stays as long as the store is away",
    ),
    Fault(
        f"{LOCKED}::test_a_right_that_ends_while_the_store_is_waited_for",
        "broker/web/delivery.py",
        "        self._rights.hold(right)\n        self._confirm()\n",
        "        self._confirm()\n",
        "a batch leaves whose right ended while the store was waited for",
    ),
    Fault(
        f"{MEANWHILE}::test_while_a_share_is_opening[revoke-between_reading_and_committing]",
        LIFE,
        '        self._keyring.destroy(*(f"share.{name}" for name, _, _ in closing))\n',
        "",
        "the record key of a closed share is kept",
    ),
    Fault(
        f"{MEANWHILE}::test_while_a_share_is_opening[narrow-between_batches]",
        "broker/log/sqlite_file.py",
        "PRAGMA secure_delete=ON",
        "PRAGMA secure_delete=OFF",
        "what is withheld now still stands in the file",
    ),
    Fault(
        f"{MEANWHILE}::test_while_a_share_is_opening[widen-before_a_partition_begins]",
        INSERTING,
        _LACKING,
        _LACKING_MADE,
        "a batch that was made before makes the closed topic again",
    ),
    Fault(
        f"{MEANWHILE}::test_a_share_closed_while_it_is_read_from_the_log",
        INSERTING,
        "    if not 0 <= partition < partitions:\n",
        "    if not partitions:\n        return -1\n    if not 0 <= partition < partitions:\n",
        "a share that was closed under its reader ends as if it were whole",
    ),
    Fault(
        f"{MEANWHILE}::test_a_share_is_not_called_closed_while_an_older_state_is_read",
        LIFE,
        "        if not self._log.wiped(within):\n",
        "        if not (self._log.wiped(within) or closing):\n",
        "a share counts as wiped although its values still stand there",
    ),
    Fault(
        f"{MEANWHILE}::test_a_share_closed_while_it_is_read_over_http",
        "broker/web/stream.py",
        "        return refusal is None\n",
        "        return True\n",
        "what was broken off looks whole",
    ),
    Fault(
        f"{PROCESSES}::test_up_collects_relays_closes_and_stops_on_a_signal",
        "broker/roles.py",
        "    signal.signal(signal.SIGTERM, ask)\n",
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
        "`up` does not hear SIGTERM",
    ),
    Fault(
        f"{PROCESSES}::test_up_collects_relays_closes_and_stops_on_a_signal",
        "broker/roles.py",
        "    signal.signal(signal.SIGTERM, ask)\n",
        "",
        "`up` dies of SIGTERM in the middle of its work",
    ),
    Fault(
        f"{PROCESSES}::test_a_taken_port_ends_the_start[http_port-serve]",
        "broker/web/role.py",
        "                if not any(self._hold(port_hold(port)).elsewhere() for port in ports):\n",
        "                if not ports:\n",
        "who finds its port taken by a stranger waits for ever",
    ),
    Fault(
        f"{PROCESSES}::test_a_second_up_stands_by_and_serves_when_the_first_dies",
        "broker/web/role.py",
        "_STAND_BY = 0.5\n",
        "_STAND_BY = 3600.0\n",
        "who stands by never looks again",
    ),
    Fault(
        f"{PROCESSES}::test_a_second_relay_stands_by_and_takes_over",
        "broker/relay/role.py",
        HOLDS,
        HOLDS_ONCE,
        "a relay that stands by never takes over",
    ),
    Fault(
        f"{PROCESSES}::test_a_second_relay_stands_by_and_takes_over",
        "broker/hold.py",
        "        except BlockingIOError:\n            os.close(handle)\n            return False\n",
        "        except BlockingIOError:\n            pass\n",
        "everybody has the hold",
    ),
    Fault(
        f"{PROCESSES}::test_a_second_controller_takes_over_within_two_seconds",
        "broker/store/lease.py",
        "PATIENCE = 1.2\n",
        "PATIENCE = 5.0\n",
        "a dead controller is waited for",
    ),
    Fault(
        f"{PROCESSES}::test_a_second_controller_takes_over_within_two_seconds",
        "broker/store/lease.py",
        "            if row.holder != self._me:\n",
        "            if not row.holder:\n",
        "two controllers work at once",
    ),
    Fault(
        f"{PROCESSES}::test_a_relay_that_was_stopped_lands_nothing_of_a_share_that_closed",
        EMBEDDED,
        _COMMIT,
        _COMMIT_ANYHOW,
        "what a relay that slept has in its hands lands in a topic that it makes again",
    ),
    Fault(
        f"{ROLES}::test_connectors_killed_at_every_step",
        INSERTING,
        _HEAD,
        _HEAD_AND_COMMIT,
        "records land before what is remembered of them",
    ),
    Fault(
        f"{ROLES}::test_a_relay_killed_at_every_step",
        PARTITION,
        _LAND,
        _LAND_APART,
        "the relay's position lands before what was written up to it",
    ),
    Fault(
        f"{ROLES}::test_a_controller_killed_at_every_step",
        LIFE,
        _CLOSED,
        _CLOSED_FIRST,
        "a controller that dies leaves a closed share that was never wiped",
    ),
    Fault(
        f"{ROLES}::test_a_controller_killed_while_it_compacts",
        "broker/log/compaction.py",
        "        last[key] = offset\n",
        "        last.setdefault(key, offset)\n",
        "the first version of a record stays, and the last goes",
    ),
    Fault(
        f"{ROLES}::test_http_killed_at_every_step",
        "broker/sharing/pulls.py",
        _RECORD,
        _RECORD_LATER,
        "a pull is recorded when the next one leaves",
    ),
    Fault(
        f"{ROLES}::test_two_relays_started_at_once[more1]",
        EMBEDDED,
        "                if (row[0] if row else None) != move.expected:\n",
        "                if False:\n",
        "of two relays each lands every batch",
    ),
    Fault(
        f"{ROLES}::test_a_relay_stopped_between_reading_and_committing",
        INSERTING,
        _LACKING,
        _LACKING_MADE,
        "a relay that slept makes the closed topic again",
    ),
)
