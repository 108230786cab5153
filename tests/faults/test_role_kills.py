"""kill -9 of every role at every step of its work, and two at once: whoever starts again
finishes it; nothing is lost, nothing lands twice, nothing of a closed share is left.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from broker.bootstrap import Broker
from broker.cli.reconcile import compare_all
from broker.errors import KeyringError
from broker.sharing.service import Outcome
from broker.sharing.share import CLOSED, LIVE
from tests import city, recompute
from tests.faults.test_processes import DATASET, NOW, people, state, until

PEOPLE = 40
RECORDS = f"/v1/datasets/{DATASET}/records"


@contextmanager
def role(
    folder: Path, name: str, step: str = "", nth: int = 1, *more: str
) -> Iterator[subprocess.Popen[str]]:
    """The role as a process of its own, ended by its id at the end."""
    words = [str(folder), name, step, str(nth), *more]
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.role", *words],
        cwd=city.ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def has_stopped(running: subprocess.Popen[str]) -> bool:
    """Whether the process has come to its step, and stopped itself there."""
    pid, status = os.waitpid(running.pid, os.WNOHANG | os.WUNTRACED)
    assert not pid or os.WIFSTOPPED(status), "it has ended"
    return pid != 0


def kill_at(folder: Path, name: str, step: str, nth: int = 1) -> None:
    """The role is killed where it stops itself."""
    with role(folder, name, step, nth) as running:
        until(lambda: has_stopped(running))
        running.kill()
        assert running.wait(10) == -signal.SIGKILL


def ends(broker: Broker, topic: str) -> int:
    """How many records were ever appended to a topic."""
    return sum(broker.log.end(topic, number) for number in range(broker.log.topics()[topic]))


def change(folder: Path, minutes: int, numbers: range, **changes: str) -> None:
    """Residents' rows change at the source."""
    later = (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")
    rows = (city.resident(n, NOW, **{"gxsj": later, **changes}) for n in numbers)
    city.put(city.county(folder, "371502"), *rows)


def assert_exact(broker: Broker, one: Outcome) -> None:
    """The share is what it must be, by both recomputations."""
    assert recompute.held(broker, one) == recompute.wanted(broker, one) != {}
    assert all(found.exact for found in compare_all(broker))


def test_connectors_killed_at_every_step(tmp_path: Path) -> None:
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        topic = broker.catalog.dataset(DATASET).collected_topic
        stood = 0
        steps = [("read", 1), ("append", 1), ("commit", 1), ("append", 2), ("commit", 1)]
        for (step, nth), lands in zip(steps, (0, 0, 10, 10, 10), strict=True):
            kill_at(tmp_path, "connect", step, nth)
            assert ends(broker, topic) == stood + lands, "a batch stands whole, or not at all"
            stood += lands
        with role(tmp_path, "connect"):
            until(lambda: ends(broker, topic) == PEOPLE)
            change(tmp_path, 1, range(1), xm="新")
            until(lambda: ends(broker, topic) > PEOPLE)
        assert ends(broker, topic) == PEOPLE + 1, "nothing twice"
        assert len(recompute.newest(broker, topic)) == PEOPLE


def test_a_relay_killed_at_every_step(tmp_path: Path) -> None:
    """Of a share that opens, and of one that the common pass writes."""
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        first, written = city.grant(broker, "first", "name sex"), []
        for late in (False, True):
            one = city.grant(broker, "late", "name") if late else first
            assert one.share
            broker.life.provision()
            for step in ("read", "append", "commit"):
                before = ends(broker, one.share.topic)
                kill_at(tmp_path, "relay", step, 2)
                assert ends(broker, one.share.topic) > before, "its first batch had landed"
                assert broker.life.caught_up(one.share.id) < 4
            written.append(one)
            with role(tmp_path, "relay"):
                until(lambda: all(broker.life.caught_up(one.share.id) == 4 for one in written))
            broker.life.advance()
            assert [ends(broker, one.share.topic) for one in written] == [PEOPLE] * len(written)
        change(tmp_path, 1, range(0, PEOPLE, 4), xm="新")
        change(tmp_path, 1, range(2, PEOPLE, 4), zxbz="1")
        city.collect(broker, limit=1_000)
        for step in ("read", "append", "commit"):
            kill_at(tmp_path, "relay", step)
        with role(tmp_path, "relay"):
            until(lambda: ends(broker, one.share.topic) == PEOPLE * 3 // 2)
        for one in written:
            assert_exact(broker, one)
            assert one.share and ends(broker, one.share.topic) == PEOPLE * 3 // 2, "nothing twice"


def marked(folder: Path, mark: str) -> list[str]:
    """The files of the state folder in which the mark stands."""
    sources = folder / "sources"
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and sources not in path.parents and mark.encode() in path.read_bytes()
    ]


def test_a_controller_killed_at_every_step(tmp_path: Path) -> None:
    mark = "名" + secrets.token_hex(8)
    people(tmp_path, PEOPLE, xm=mark)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        dataset = broker.catalog.dataset(DATASET)
        stays, over = city.grant(broker, "stays", "sex"), city.grant(broker, "over", "name")
        assert over.share
        kill_at(tmp_path, "controller", "open")
        with role(tmp_path, "controller"):
            until(lambda: over.share.topic in broker.log.topics() if over.share else False)
        broker.relay.run_once(dataset, lambda: broker.sharing.shares(DATASET))
        kill_at(tmp_path, "controller", "live")
        assert state(broker, over.grant.id) != LIVE
        with role(tmp_path, "controller"):
            until(lambda: state(broker, over.grant.id) == state(broker, stays.grant.id) == LIVE)
        assert len(city.shown(broker, over)) == PEOPLE and marked(tmp_path, mark)
        broker.sharing.revoke(over.grant.id, "r")
        broker.log.close()  # the last connection to a log tidies its file up
        for step in ("close", "wipe", "closed"):
            kill_at(tmp_path, "controller", step)
    with city.city(tmp_path) as broker:
        assert broker.sharing.share(over.share.id).state != CLOSED
        with role(tmp_path, "controller"):
            until(lambda: broker.sharing.share(over.share.id).state == CLOSED if over.share else 0)
        assert marked(tmp_path, mark) == []
        assert over.share.topic not in broker.log.topics()
        with pytest.raises(KeyringError):
            broker.keyring.key(f"share.{over.share.id}")
        assert_exact(broker, stays)


def test_a_controller_killed_while_it_compacts(tmp_path: Path) -> None:
    mark = "名" + secrets.token_hex(8)
    people(tmp_path, PEOPLE, xm=mark)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        change(tmp_path, 1, range(PEOPLE), xm="新")
        city.collect(broker, limit=1_000)
        city.relay(broker)
        assert one.share and ends(broker, one.share.topic) == 2 * PEOPLE
        for nth in (1, 3):
            kill_at(tmp_path, "controller", "compact", nth)
            assert_exact(broker, one)
        with role(tmp_path, "controller", "compact", 10_000):
            until(lambda: not marked(tmp_path, mark))
        assert_exact(broker, one)
        assert ends(broker, one.share.topic) == 2 * PEOPLE, "no offset is given again"
        change(tmp_path, 2, range(5), xm="再")
        city.collect(broker, limit=1_000)
        city.relay(broker)
        assert_exact(broker, one)


def test_http_killed_at_every_step(tmp_path: Path) -> None:
    """A consumer asks again from the last cursor it got, and has everything once."""
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one = city.grant(broker, "a", "name")
        city.relay(broker)
        headers = {"Authorization": f"Bearer {broker.api_keys.add('a')}"}
        cursor, got, failed = "", list[str](), 0
        first: dict[str, int] = {}
        for step in ("page", "pull", ""):
            with role(tmp_path, "serve", step, 2) as serving:
                assert serving.stdout
                url = serving.stdout.readline().strip()
                with httpx2.Client(base_url=url, headers=headers, timeout=2) as client:
                    while len(got) < PEOPLE:
                        asked = {"limit": 8, "cursor": cursor}
                        try:
                            page = client.get(RECORDS, params=asked).json()
                        except httpx2.TimeoutException:
                            assert has_stopped(serving)
                            serving.kill()
                            failed += 1
                            break
                        first.setdefault(step, len(page["records"]))
                        got += [record["key"] for record in page["records"]]
                        cursor = page["cursor"]
        assert failed == 2
        assert len(got) == len(set(got)) == len(recompute.held(broker, one)) == PEOPLE
        recorded = [pull.records for pull in broker.pulls.newest(100, "a")]
        assert sum(recorded) == PEOPLE + first[""], "what may have left is recorded"


@pytest.mark.parametrize("more", [(), ("unheld",)])
def test_two_relays_started_at_once(tmp_path: Path, more: tuple[str, ...]) -> None:
    """The second stands by; and where it does not, every batch still lands once."""
    people(tmp_path, 5 * PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        assert one.share and other.share
        broker.life.provision()
        step = ("read", 2) if more else ("", 1)

        def caught_up() -> bool:
            return broker.life.caught_up(one.share.id if one.share else "") == 4

        with ExitStack() as both:
            first = both.enter_context(role(tmp_path, "relay", *step, *more))
            if more:  # it has a batch in its hands while the other does all of the work
                until(lambda: has_stopped(first))
            both.enter_context(role(tmp_path, "relay", "", 1, *more))
            until(caught_up)
            first.send_signal(signal.SIGCONT)
            change(tmp_path, 1, range(3), xm="新")
            city.collect(broker, limit=1_000)
            until(lambda: ends(broker, other.share.topic if other.share else "") >= 203)
        for found in (one, other):
            assert_exact(broker, found)
            assert found.share and ends(broker, found.share.topic) == 5 * PEOPLE + 3


def test_a_relay_stopped_between_reading_and_committing(tmp_path: Path) -> None:
    """It has the records of a share in its hands while that share is closed and wiped."""
    people(tmp_path, PEOPLE)
    with city.city(tmp_path) as broker:
        city.collect(broker, limit=1_000)
        stays, over = city.grant(broker, "stays", "sex"), city.grant(broker, "over", "name")
        assert stays.share and over.share
        broker.life.provision()
        with role(tmp_path, "relay", "read", 3) as relay:
            until(lambda: has_stopped(relay))
            assert ends(broker, over.share.topic) > 0
            broker.sharing.revoke(over.grant.id, "r")
            assert broker.life.close() == [over.share.id]
            relay.send_signal(signal.SIGCONT)
            until(lambda: broker.life.caught_up(stays.share.id if stays.share else "") == 4)
            assert over.share.topic not in broker.log.topics() and relay.poll() is None
        assert_exact(broker, stays)
        assert ends(broker, stays.share.topic) == PEOPLE
