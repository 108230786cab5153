"""Planted faults of HTTP: see `tests.mutants.faults`."""

from tests.mutants.faults import Fault

ACCESS = "tests/unit/test_access.py"
DELIVERY = "tests/unit/test_delivery.py"
FORMS = "tests/laws/test_form_laws.py"
LINES = "tests/unit/test_lines.py"
SLOW = "tests/faults/test_slow.py::test_a_slow_client_is_cut_with_its_right"
STREAM = "tests/unit/test_stream.py"
WATCH = "tests/unit/test_watch.py"

ELSEWHERE = "tests/integration/test_registry_elsewhere.py"

WEB = (
    Fault(
        f"{LINES}::test_a_look_that_fails_ends_what_is_open_and_not_the_watching",
        "broker/web/lines.py",
        "            except Exception as error:",
        "            except (ShuQiaoError, TimeoutError) as error:",
        "after one unforeseen error nobody watches the rights of open lines",
    ),
    Fault(
        f"{LINES}::test_http_without_its_watcher_ends_to_be_run_again",
        "broker/web/role.py",
        "        watching.add_done_callback(lambda watched: end())\n",
        "",
        "HTTP goes on serving when nobody watches the rights of open lines",
    ),
    Fault(
        f"{LINES}::test_a_serve_role_that_is_closed_gives_its_port_hold_back",
        "broker/web/role.py",
        "                stack.callback(hold.release)\n",
        "",
        "who stands by takes a port for served that nobody serves",
    ),
    Fault(
        f"{WATCH}::test_the_log_is_watched_again_after_a_look_that_failed",
        "broker/log/watch.py",
        "                self._running = False  # also",
        "                # also",
        "after one look that failed nobody hears of other processes' commits",
    ),
    Fault(
        f"{WATCH}::test_who_waits_is_woken_after_the_log_was_away",
        "broker/web/pulse.py",
        "                stop.wait(_LOOK)\n                continue\n",
        "                return\n",
        "after one look that failed no waiting request is woken",
    ),
    Fault(
        f"{DELIVERY}::test_the_right_is_asked_at_each_heartbeat",
        "broker/web/records_api.py",
        "                    await run_sync(self.rights.hold, right)\n",
        "",
        "a stream without news goes on after its right has ended",
    ),
    Fault(
        f"{DELIVERY}::test_the_right_is_asked_before_each_piece_of_a_page",
        "broker/web/records_api.py",
        "                await run_sync(self.rights.hold, right)\n                yield body",
        "                yield body",
        "a page goes on leaving after its right has ended",
    ),
    Fault(
        f"{DELIVERY}::test_what_ends_while_its_pull_is_recorded_does_not_leave",
        "broker/web/delivery.py",
        "        self._rights.hold(right)\n        self._confirm()\n",
        "        self._confirm()\n",
        "a batch leaves whose right ended while the store was waited for",
    ),
    Fault(
        f"{DELIVERY}::test_a_cursor_opens_one_share_for_one_consumer",
        "broker/web/records_api.py",
        "        if cursor.share != name:\n",
        "        if not cursor.share:\n",
        "a cursor of one share goes on in another, and skips records",
    ),
    Fault(
        f"{DELIVERY}::test_a_cursor_is_as_old_as_the_last_time_at_the_end",
        "broker/web/delivery.py",
        "        since = end.since if at_end else cursor.since\n",
        "        since = end.since\n",
        "who reads slowly keeps what was deleted meanwhile",
    ),
    Fault(
        f"{DELIVERY}::test_a_share_that_was_the_callers_is_over_and_another_is_not_there",
        "broker/web/rights.py",
        "        if self._sharing.was_given(name, key.consumer):\n",
        "        if self._sharing.was_given(name, key.consumer) and self.shares(key):\n",
        "a closed share is not called over: the copy is kept",
    ),
    Fault(
        f"{STREAM}::test_a_line_is_open_until_everything_has_left",
        "broker/web/stream.py",
        "            await self._lines.left(line)\n",
        "",
        "what still waits here leaves after the right has ended",
    ),
    Fault(
        f"{STREAM}::test_what_is_refused_in_the_middle_has_no_end",
        "broker/web/stream.py",
        "        return refusal is None\n",
        "        return True\n",
        "what was broken off looks whole",
    ),
    Fault(
        f"{STREAM}::test_the_limit_of_open_lines_is_a_consumers_own",
        "broker/web/lines.py",
        "sum(one.right.key.consumer == right.key.consumer for one in self._open)",
        "len(self._open)",
        "one consumer's streams keep out all others",
    ),
    Fault(
        f"{SLOW}[/v1/datasets/ga.resident_base/records?limit=300]",
        "broker/web/lines.py",
        "                loop.call_later(GRACE, self._cut_if_open, line)\n",
        "",
        "a client that reads slowly goes on after its right has ended",
    ),
    Fault(
        f"{SLOW}[/v1/datasets/ga.resident_base/records?limit=300]",
        "broker/web/unsent.py",
        "            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)\n",
        "            raw.fileno()\n",
        "the kernel goes on sending what was cut",
    ),
    Fault(
        f"{ACCESS}::test_nothing_that_is_kept_is_a_key",
        "broker/sharing/keys.py",
        '    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()\n',
        "    return secret\n",
        "the store holds keys that can be used",
    ),
    Fault(
        f"{ACCESS}::test_only_the_whole_key_is_the_key",
        "broker/sharing/keys.py",
        "        if known is None or not right or known[0].revoked_at:\n",
        "        if known is None or known[0].revoked_at:\n",
        "the public part of a key is enough",
    ),
    Fault(
        f"{ACCESS}::test_the_limit_is_a_consumers_own_whatever_keys_it_has",
        "broker/web/access.py",
        "self._asked.take(key.consumer)",
        "self._asked.take(key.id)",
        "a consumer with many keys asks as often as it likes",
    ),
    Fault(
        f"{ACCESS}::test_the_limit_is_a_consumers_own_whatever_keys_it_has",
        "broker/web/access.py",
        "self._asked.take(key.consumer)",
        'self._asked.take("")',
        "one consumer uses up what others may ask",
    ),
    Fault(
        "tests/unit/test_app.py::test_what_is_not_begun_when_http_stops_is_answered_503",
        "broker/web/app.py",
        '    (b"cache-control", b"no-store"),\n',
        "",
        "a cache keeps personal records",
    ),
    Fault(
        f"{FORMS}::test_no_form_says_anything_of_what_is_not_canonical",
        "broker/web/columns.py",
        "        if places != list(map(len, bodies)):\n            raise ValueError\n",
        "",
        "what is left over of a damaged record is passed over, or read as the next one's",
    ),
    Fault(
        f"{FORMS}::test_wherever_a_byte_is_wrong_nothing_is_said_that_was_not_read",
        "broker/web/columns.py",
        "    if not byte and shift:\n        raise ValueError\n",
        "",
        "a length that is not canonical is read",
    ),
    Fault(
        f"{FORMS}::test_every_form_says_what_the_record_says",
        "broker/web/forms.py",
        "body is None else self._there % (key, *next(rows))",
        "body is None else self._there % (key, *next(zip(*columns, strict=True)))",
        "behind a tombstone everybody has the first one's values",
    ),
    Fault(
        f"{DELIVERY}::test_records_that_are_large_come_in_more_pages_and_none_is_lost",
        "broker/web/delivery.py",
        " or took >= _NEARLY\n",
        "\n",
        "what did not fit into a page is passed over",
    ),
    Fault(
        f"{DELIVERY}::test_a_snapshot_has_every_key_once_as_it_stands_last",
        "broker/web/delivery.py",
        "one < below and ",
        "",
        "a snapshot has what came after its cursor, and the reader gets it twice",
    ),
    Fault(
        "tests/unit/test_forms.py::test_excel_neither_runs_nor_spoils_a_value",
        "broker/web/forms.py",
        '_FORMULA = ("=", "+", "-", "@", ',
        '_FORMULA = ("=", "+", "-", ',
        "a name is run as a formula",
    ),
    Fault(
        "tests/integration/test_http.py::test_the_registry_knows_ones_own_subjects_alone",
        "broker/web/registry_api.py",
        '            raise Refusal(40403, "Schema not found")\n',
        '            raise Refusal(40403 if len(schema_id) > 3 else 40301, "Schema not found")\n',
        "a schema of others is told from one that is not there",
    ),
    Fault(
        f"{ELSEWHERE}::test_one_id_for_two_schemas_is_answered_of_a_subject_alone",
        "broker/web/registry_api.py",
        "        if not named or any(one.schema != named[0].schema for one in named):\n",
        "        if not named:\n",
        "values are read by the schema of another share",
    ),
    Fault(
        f"{ELSEWHERE}::test_a_stale_view_of_a_share_writes_no_frame",
        "broker/relay/worker.py",
        "[share for share in shares() if share.published]",
        "list(shares())",
        "frames carry an id that no registry has given",
    ),
    Fault(
        f"{ELSEWHERE}::test_a_share_waits_while_the_registry_is_away_and_opens_when_it_is_back",
        "broker/sharing/life.py",
        "return [one for one in _in(connection, OPENING) if one[0] not in without]",
        "return [one for one in _in(connection, OPENING) if one[0] not in without or True]",
        "a share has a topic before its schema has an id",
    ),
    Fault(
        f"{ELSEWHERE}::test_what_ends_between_publishing_and_noting_leaves_no_subject",
        "broker/sharing/publishing.py",
        """        with self._store.writing() as connection:
            self._note(connection, one.subject)
        number""",
        "        number",
        "the subject of a share that has ended stays there for ever",
    ),
    Fault(
        f"{ELSEWHERE}::test_an_id_is_taken_only_where_ours_stands_under_it",
        "broker/external_registry.py",
        "    return alike(found, schema)\n",
        "    return True\n",
        "values are read by a schema that is not theirs",
    ),
    Fault(
        f"{ELSEWHERE}::test_plain_text_to_another_machine_is_refused",
        "broker/external_registry.py",
        'if parts.scheme == "http" and not is_loopback(host):',
        'if parts.scheme == "http" and host == "localhost":',
        "the registry's password crosses the network in plain text",
    ),
    Fault(
        f"{ELSEWHERE}::test_another_registry_means_another_share_and_the_old_is_read_until_then",
        "broker/sharing/share.py",
        "            parts.append(self.registry)\n",
        "            pass\n",
        "frames of one registry's ids stand where another is asked",
    ),
)
