"""Planted faults of HTTP, of leaks and of the demo: see `tests.mutants.soak_faults`."""

from tests.mutants.faults import Fault
from tests.mutants.soak_faults import HOLDS, HOLDS_ONCE

DEMO = "tests/integration/test_demo_goes_on.py"
HTTP = "tests/integration/test_http.py"
LEAKS = "tests/integration/test_leaks.py"
LINES = "tests/faults/test_lines.py"
SLOW = "tests/faults/test_slow.py"
DELIVERY = "broker/web/delivery.py"
RIGHTS = "broker/web/rights.py"
STREAM = "broker/web/stream.py"
THE_LINES = "broker/web/lines.py"
RECORDS = "/v1/datasets/ga.resident_base/records"
SNAPSHOT = "/v1/datasets/ga.resident_base/snapshot"

_ASKS = "                self._asks = self.loop.call_later(PATIENCE, self._silent)\n"
_BUFFER = "                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)\n"
_LOOKED = """        if now == seen:
            return seen, []
"""
_LOOKED_ONCE = """        if seen is not None:
            return seen, []
"""
_CUT = """                    self._lines.cut(line, "broken_off")
                    raise
"""

SOAK_WEB = (
    Fault(
        f"{LINES}::test_events_say_why_they_end",
        "broker/web/records_api.py",
        '    return b"event: error\\ndata: " + to_json(error) + b"\\n\\n"\n',
        '    return b""\n',
        "a stream of events ends without a word",
    ),
    Fault(
        f"{LINES}::test_a_waiting_request_ends_with_its_right",
        THE_LINES,
        _LOOKED,
        _LOOKED_ONCE,
        "who waits goes on waiting after his right has ended",
    ),
    Fault(
        f"{LINES}::test_a_snapshot_that_is_cut_never_looks_whole[ndjson]",
        STREAM,
        "        return refusal is None\n",
        "        return True\n",
        "what was broken off looks whole",
    ),
    Fault(
        f"{LINES}::test_a_snapshot_that_is_cut_never_looks_whole[csv]",
        STREAM,
        "            return error if isinstance(error, Refusal) else away()\n",
        "            return None\n",
        "what was broken off looks whole where the form has no words for it",
    ),
    Fault(
        f"{LINES}::test_a_revoked_key_ends_what_is_open_with_it",
        RIGHTS,
        "            if right.key.id not in in_use or (right.key.consumer",
        "            if (right.key.consumer",
        "a stolen key that was revoked goes on reading",
    ),
    Fault(
        f"{LINES}::test_streams_end_while_the_store_is_away",
        THE_LINES,
        "failed, over = error, lines if loop.time() - known >= BLIND else []\n",
        "failed, over = error, []\n",
        "streams go on whose right cannot be asked",
    ),
    Fault(
        f"{LINES}::test_who_waits_is_told_to_ask_again_when_http_stops",
        THE_LINES,
        "            line.stopped = True\n",
        "",
        "who waits is answered as if nothing had come, and HTTP were there",
    ),
    Fault(
        f"{LINES}::test_five_hundred_open_streams",
        "broker/web/pulse.py",
        "self._loop.call_soon_threadsafe(self.beat)",
        "self._loop.call_soon_threadsafe(lambda: None)",
        "streams do not hear of what is new",
    ),
    Fault(
        f"{LINES}::test_fifty_consumers_each_revoked_while_it_streams",
        "broker/sharing/service.py",
        "            if known is not None and known[0] == self.revision():\n",
        "            if known is not None and known[0][1] == today:\n",
        "who may read is asked once a day",
    ),
    Fault(
        f"{LINES}::test_tls",
        "broker/web/role.py",
        "ssl_context_factory=(lambda config, default: context) if context else None,",
        "ssl_context_factory=None,",
        "records leave in clear although there is a certificate",
    ),
    Fault(
        f"{LINES}::test_where_it_may_listen",
        "broker/web/address.py",
        '        return host == "localhost"\n',
        "        return True\n",
        "a name that others can reach is served without TLS",
    ),
    Fault(
        f"{SLOW}::test_a_slow_client_is_cut_with_its_right_under_tls[{RECORDS}?limit=300]",
        "broker/web/unsent.py",
        "    if raw is not None:\n        with suppress",
        "    if raw is not None and _below(transport) is None:\n        with suppress",
        "the kernel goes on sending what was cut under TLS",
    ),
    Fault(
        f"{SLOW}::test_what_is_broken_off_never_looks_whole_to_an_old_client"
        f"[{SNAPSHOT}?format=csv]",
        "broker/web/unsent.py",
        "            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)\n",
        "            raw.fileno()\n",
        "an orderly end makes half a file look whole",
    ),
    Fault(
        f"{SLOW}::test_what_fails_in_the_middle_never_looks_whole_to_an_old_client",
        STREAM,
        _CUT,
        "                    raise\n",
        "what failed in the middle looks whole to an old client",
    ),
    Fault(
        f"{SLOW}::test_a_client_that_takes_nothing_is_cut",
        STREAM,
        "    await asyncio.wait_for(send(message), PATIENCE)\n",
        "    await send(message)\n",
        "a client that takes nothing holds its place for ever",
    ),
    Fault(
        f"{SLOW}::test_a_client_that_says_nothing_is_cut",
        THE_LINES,
        f"{_BUFFER}{_ASKS}",
        f"{_BUFFER}{_ASKS.replace('PATIENCE', '3600')}",
        "who connects and asks nothing holds his place for ever",
    ),
    Fault(
        f"{SLOW}::test_a_client_that_says_no_more_after_an_answer_is_cut[head]",
        THE_LINES,
        f"{_ASKS}                super().on_response_complete()\n",
        f"{_ASKS.replace('PATIENCE', '3600')}                super().on_response_complete()\n",
        "who asks half a second request holds his place for ever",
    ),
    Fault(
        f"{LEAKS}::test_nothing_in_clear_without_a_share",
        "connectors/collect.py",
        """        return keyed_hash(
            self._secrets.record, json.dumps(values, ensure_ascii=False).encode("utf-8")
        )
""",
        '        return json.dumps(values, ensure_ascii=False).encode("utf-8")\n',
        "a record's key is the ID number",
    ),
    Fault(
        f"{LEAKS}::test_in_shares_only_what_was_decided",
        "broker/projection/masks.py",
        "            return lambda value, _: pseudonyms.of(value)\n",
        "            return lambda value, _: value\n",
        "a pseudonym is the value itself",
    ),
    Fault(
        f"{LEAKS}::test_of_closed_shares_nothing_is_left",
        "broker/log/sqlite_file.py",
        "PRAGMA secure_delete=ON",
        "PRAGMA secure_delete=OFF",
        "what closed shares held still stands in the file",
    ),
    Fault(
        f"{LEAKS}::test_no_error_or_message_shows_a_value",
        "broker/cli/shapes.py",
        '        return "9"\n',
        "        return character\n",
        "a preview shows numbers",
    ),
    Fault(
        f"{LEAKS}::test_no_later_message_shows_a_value",
        "connectors/names.py",
        '    name = _LONG_NUMBER.sub("…", name)\n    return ',
        "    return name if name else ",
        "a file's name shows whose file it is",
    ),
    Fault(
        f"{LEAKS}::test_no_later_message_shows_a_value",
        "connectors/names.py",
        '        unknown = [f"{len(unknown)} columns"]\n',
        '        unknown = [f"column {name}" for name in found if name not in expected]\n',
        "what stands where a header should be is shown",
    ),
    Fault(
        f"{DEMO}::test_every_number_has_its_effect_and_it_ends_exact",
        "broker/relay/role.py",
        HOLDS,
        HOLDS_ONCE,
        "the second relay never takes over",
    ),
    Fault(
        f"{DEMO}::test_a_role_that_is_killed_from_outside_is_started_again",
        "broker/cli/demo/live.py",
        "    stage.processes.look()\n",
        "",
        "what was killed stays dead",
    ),
    Fault(
        f"{DEMO}::test_no_child_outlives_a_demo_that_was_killed",
        "broker/cli/demo/child.py",
        "    os.kill(os.getpid(), signal.SIGTERM)\n",
        "",
        "roles go on after the demo that started them",
    ),
    Fault(
        f"{HTTP}::test_every_form_says_the_same",
        DELIVERY,
        "        at_end = all(map(int.__ge__, reached, end.offsets))\n",
        "        at_end = any(map(int.__ge__, reached, end.offsets))\n",
        "who reads page by page stops before the end",
    ),
    Fault(
        f"{HTTP}::test_changes_and_tombstones_follow_the_cursor",
        DELIVERY,
        "                found.append(page)\n",
        "                there = [n for n, one in enumerate(page.values) if one is not None]\n"
        "                found.append(taken(page, there))\n",
        "deletions do not come",
    ),
    Fault(
        f"{HTTP}::test_events_come_one_by_one_and_go_on_from_their_id",
        "broker/web/records_api.py",
        "find, key, name, last_event_id or cursor)",
        "find, key, name, cursor)",
        "a reader that comes back begins again",
    ),
    Fault(
        f"{HTTP}::test_nothing_of_others",
        RIGHTS,
        "        raise no_such_share()\n",
        "        self._sharing.share(name)\n        raise no_right(name)\n",
        "a share of others is told from one that is not there",
    ),
    Fault(
        f"{HTTP}::test_a_share_that_is_over_says_where_to_begin_again",
        RIGHTS,
        "        raise not_open_yet(dataset) if mine else no_right(dataset)\n",
        "        raise no_right(dataset)\n",
        "who has to wait is told that he has no right",
    ),
    Fault(
        f"{HTTP}::test_a_cursor_counts_from_when_its_reader_was_last_at_the_end",
        "broker/web/cursor.py",
        "DAYS = 25\n",
        "DAYS = 35\n",
        "who was away keeps what was deleted and forgotten meanwhile",
    ),
    Fault(
        f"{HTTP}::test_a_cursor_of_another_log_is_refused",
        DELIVERY,
        "    return len(offsets) == len(ends) and all(map(int.__le__, offsets, ends))\n",
        "    return len(offsets) == len(ends)\n",
        "a cursor of another log passes records over",
    ),
    Fault(
        f"{HTTP}::test_keys",
        "broker/sharing/keys.py",
        "if known is None or not right or known[0].revoked_at:",
        "if known is None or not right:",
        "a revoked key still opens",
    ),
    Fault(
        f"{HTTP}::test_wrong_keys_are_limited_and_right_ones_go_on",
        "broker/web/access.py",
        "WRONG_A_MINUTE = 20\n",
        "WRONG_A_MINUTE = 2000\n",
        "keys can be guessed as fast as the line allows",
    ),
    Fault(
        f"{HTTP}::test_a_consumer_that_asks_too_often_waits",
        THE_LINES,
        "        if mine >= self._limit:\n",
        "        if mine > self._limit:\n",
        "a consumer has more streams than it may",
    ),
    Fault(
        f"{HTTP}::test_every_pull_is_recorded_and_stays",
        "broker/store/migrations/versions/v0004_pulls.py",
        "WHERE sequence = NEW.sequence)",
        "WHERE sequence = NEW.sequence AND 0)",
        "what left can be replaced in the record",
    ),
    Fault(
        f"{HTTP}::test_a_small_answer_does_not_wait_for_an_acknowledgement",
        "broker/web/address.py",
        "socket.SOCK_STREAM, socket.IPPROTO_TCP)",
        "socket.SOCK_STREAM)",
        "each answer takes 40 ms",
    ),
    Fault(
        f"{HTTP}::test_the_answer_to_an_unforeseen_error_says_nothing",
        "broker/web/app.py",
        "self._emit(RequestFailed(error=type(error).__name__))",
        "self._emit(RequestFailed(error=str(error)))",
        "the text of a foreign error, which may hold data, is written down",
    ),
    Fault(
        f"{HTTP}::test_values_as_json_csv_and_excel_have_them",
        "broker/web/forms.py",
        "_EXACT_DIGITS = 11\n",
        "_EXACT_DIGITS = 20\n",
        "Excel rounds ID numbers",
    ),
    Fault(
        f"{HTTP}::test_a_waiting_request_is_answered_when_something_comes",
        "broker/web/pulse.py",
        "self._loop.call_soon_threadsafe(self.beat)",
        "self._loop.call_soon_threadsafe(lambda: None)",
        "who waits is answered when his time is over",
    ),
    Fault(
        f"{HTTP}::test_a_cursor_older_than_the_tombstones",
        DELIVERY,
        "if cursor.too_old(self._clock()) or not _reachable(",
        "if not _reachable(",
        "who was away keeps what was deleted and forgotten meanwhile",
    ),
    Fault(
        f"{HTTP}::test_health_and_headers",
        "broker/web/app.py",
        '    (b"cache-control", b"no-store"),\n',
        "",
        "a cache keeps personal records",
    ),
    Fault(
        f"{HTTP}::test_metrics_have_a_listener_of_their_own",
        "broker/web/role.py",
        "start_http_server(port, LOOPBACK, self._metrics)",
        "start_http_server(port, LOOPBACK)",
        "the metrics say nothing of what leaves",
    ),
)
