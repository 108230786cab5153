"""Fetches that wait at a broker with a right that has ended: they are answered, with what there
is, before anything later is written.

Law: a right is noted before it is taken, with whom it was of, until every broker refuses it and
its topic's fetches have been answered after that: whoever looks next goes on where another was
killed. Who takes a right waits a second for the note: where the log cannot be written by then it
is kept in memory alone.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from broker.errors import LogError
from broker.log import document
from broker.log.cluster import Cluster, Right
from broker.log.interface import Log
from broker.log.topics import UNANSWERED
from broker.sharing.rights import rights_to

_PATIENCE = 1.0


class Noted(NamedTuple):
    """Who lost the right to a topic; another note of the same topic is another `turn`."""

    turn: str
    users: frozenset[str]


Notes = Mapping[str, Noted]
"""By topic."""


class Unanswered:
    """Notes the rights and has what waits answered; `cluster` is None where the log is a file."""

    def __init__(self, log: Log, cluster: Cluster | None) -> None:
        self._log = log
        self._cluster = cluster
        self._own: dict[str, Noted] = {}
        self._patient = ThreadPoolExecutor(1, "notes")

    def noted(self) -> Notes | None:
        """What is noted in the log; None where it does not say in time."""
        if self._cluster is None:
            return {}
        found = self._in_time(lambda: document.read(self._log, UNANSWERED))
        return None if found is None else {name: _read(one) for name, one in found.items()}

    def note(self, ended: Iterable[Right]) -> None:
        """These rights are taken next, or have just been."""
        users: dict[str, set[str]] = defaultdict(set)
        for one in ended:
            users[one.name].add(one.user)
        if self._cluster is None or not users:
            return
        turn = secrets.token_hex(8)

        def add(noted: dict[str, Any]) -> None:
            for topic, names in users.items():
                before = _read(noted[topic]).users if topic in noted else set()
                noted[topic] = [turn, sorted(names | before)]

        for topic, names in users.items():
            self._own[topic] = Noted(turn, frozenset(names) | _users(self._own, topic))
        self._in_time(lambda: document.change(self._log, UNANSWERED, add))

    def answer(self, before: Notes | None, standing: Collection[Right]) -> list[str]:
        """Have answered what this process noted, and what was noted before it looked at who may
        read (`standing`): later notes are of rights that their writer is still to take. The
        brokers that do not refuse yet, or the topics of which that is not certain: they stay
        noted."""
        notes = {**(before or {}), **self._own}
        if self._cluster is None or not notes:
            return []
        ended = {
            (user, name)
            for name in notes
            for user in _users(before or {}, name) | _users(self._own, name)
        }
        if left := self._cluster.unconfirmed(rights_to(ended) - set(standing)):
            return left
        try:
            left = self._cluster.answer_fetches(list(notes))
        except LogError:
            left = sorted(notes)
        self._forget({name: one for name, one in notes.items() if name not in left})
        return left

    def _forget(self, notes: Notes) -> None:
        for name, one in notes.items():
            if name in self._own and self._own[name].turn == one.turn:
                del self._own[name]

        def out(noted: dict[str, Any]) -> None:
            for name, one in notes.items():
                if name in noted and _read(noted[name]).turn == one.turn:
                    del noted[name]

        with suppress(LogError):
            document.change(self._log, UNANSWERED, out)

    def _in_time(self, call: Callable[[], Any]) -> Any:
        """What the log says; None where it refuses, or needs longer."""
        with suppress(LogError, TimeoutError):
            return self._patient.submit(call).result(_PATIENCE)


def _read(stored: Any) -> Noted:
    turn, users = stored
    return Noted(turn, frozenset(users))


def _users(notes: Notes, topic: str) -> frozenset[str]:
    return notes[topic].users if topic in notes else frozenset()
