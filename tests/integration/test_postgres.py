"""The control store on a real PostgreSQL: the whole path on it, several processes at once, and
what happens while it is away.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from broker.errors import SettingsError, StoreError
from broker.sharing.share import CLOSED, LIVE
from broker.store import postgresql
from broker.store.engine import open_store
from deploy.postgres.server import Server
from tests import city
from tests.faults.test_processes import NOW, ended, people, process, state, until
from tests.laws import test_life_model as life
from tests.serving import served

Put = Callable[[], str]


@pytest.mark.parametrize("seed", range(2))
def test_the_model_of_a_year_holds_on_it(on_postgres: Put, tmp_path: Path, seed: int) -> None:
    on_postgres()
    life.test_at_every_moment_a_share_is_what_the_policy_says(tmp_path, seed)
    assert not (tmp_path / "store.db").exists()


def test_two_that_give_and_revoke_at_once_end_in_one_state(
    on_postgres: Put, tmp_path: Path
) -> None:
    """As on two machines: each over its own connections, the log between them."""
    on_postgres()
    people(tmp_path, 5)
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            with city.city(tmp_path) as broker:
                for number in range(4):
                    one = city.grant(broker, f"{name}{number}", "name")
                    if number % 2:
                        broker.sharing.revoke(one.grant.id, "r")
        except BaseException as error:  # noqa: BLE001  told below
            failures.append(error)

    with city.city(tmp_path) as broker:
        city.collect(broker)
        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        city.relay(broker)
        active = {one.grant.consumer.id for one in broker.sharing.grants() if one.state == "ACTIVE"}
        assert active == {f"{name}{number}" for name in "abc" for number in (0, 2)}
        (audience,) = broker.sharing.audiences()
        assert set(audience.readers) == active and audience.share.state == LIVE
        versions = broker.versions.all()
        assert len(versions) == 1, "the first policy was put in force once"


def test_the_next_controller_works_two_seconds_after_kill_9(
    on_postgres: Put, tmp_path: Path
) -> None:
    on_postgres()
    people(tmp_path, 5)
    other = tmp_path / "other"  # another machine's state folder: nothing but the store is shared
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one, two = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        city.relay(broker)
        with process(tmp_path, "controller") as first, process(tmp_path, "controller") as second:
            broker.sharing.revoke(one.grant.id, "r")
            assert one.share and two.share
            share, topic = one.share.id, two.share.topic
            until(lambda: broker.sharing.share(share).state == CLOSED)
            first.kill()
            second_ends = second.poll()
            assert second_ends is None
            at = time.monotonic()
            broker.sharing.revoke(two.grant.id, "r")
            until(lambda: topic not in broker.log.topics())
            assert time.monotonic() - at < 4
    assert not other.exists()


def test_while_it_is_away_nothing_leaves_and_then_everything_goes_on(
    postgres: Server, on_postgres: Put, tmp_path: Path
) -> None:
    on_postgres()
    people(tmp_path, 12)
    with served(tmp_path) as web:
        city.collect(web.broker)
        one = city.grant(web.broker, "a", "name")
        city.relay(web.broker)
        client = web.client("a")
        path = "/v1/datasets/ga.resident_base/records"
        assert len(client.get(path).json()["records"]) == 12
        with process(tmp_path, "up") as up:
            until(lambda: web.broker.log.position("relay.ga.resident_base.0") is not None)
            postgres.stop()
            try:
                at = time.monotonic()
                answer = client.get(path)
                assert answer.status_code == 503 and "records" not in answer.text
                assert time.monotonic() - at < 10
                with pytest.raises(StoreError) as refused:
                    web.broker.sharing.revoke(one.grant.id, "r")
                assert postgres.password_file.read_text() not in str(refused.value)
                time.sleep(6)  # it has begun, or is about to
                assert up.poll() is None, "it waits"
            finally:
                postgres.start()
            until(lambda: client.get(path).status_code == 200, 20)
            later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
            row = city.resident(1, NOW, xm="新", gxsj=later)
            city.put(city.county(tmp_path, "371502"), row)
            until(lambda: "新" in client.get(path).text, 30)
            web.broker.sharing.revoke(one.grant.id, "r")
            until(lambda: client.get(path).status_code in (403, 410), 5)
            assert state(web.broker, one.grant.id) == ""
            up.send_signal(signal.SIGTERM)
            assert ended(up, 20) == 0


def test_a_server_that_answers_no_more_holds_nobody_for_ever(
    postgres: Server, on_postgres: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle: what waits gives up, and what comes after connects anew."""
    options = dict(postgresql.OPTIONS["connect_args"])
    short = options["options"].replace("30000", "1500")
    monkeypatch.setitem(postgresql.OPTIONS["connect_args"], "options", short)
    url = on_postgres()
    store, other = (open_store(url, postgres.password_file) for _ in range(2))
    with store.writing():
        at = time.monotonic()
        with pytest.raises(StoreError), other.writing():
            pass
        assert time.monotonic() - at < 6, "another's transaction is not waited for without end"
    with other.writing():
        pass
    store.close()
    other.close()


def test_what_cannot_be_reached_is_said_within_ten_seconds(
    postgres: Server, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("SECRET-WORD")
    here = f"postgresql://shuqiao@127.0.0.1:{postgres.port}"
    for url, password in (
        ("postgresql://shuqiao@127.0.0.1:1/x", postgres.password_file),
        (f"{here}/postgres", wrong),
        (f"{here}/no_such_database", postgres.password_file),
    ):
        at = time.monotonic()
        with pytest.raises(StoreError) as refused:
            open_store(url, password)
        assert time.monotonic() - at < 10
        assert "127.0.0.1/" in refused.value.where and refused.value.mend
        assert "SECRET-WORD" not in str(refused.value)
    with pytest.raises(SettingsError, match="password cannot be read"):
        open_store(f"{here}/postgres", tmp_path / "none")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example/x",
        "postgresql://u@db.example/x?sslmode=require",
        "postgresql://u@/x?host=db.example",
        "postgresql://u@127.0.0.1/x?host=db.example",
        "postgresql+psycopg://u@10.0.0.9/x?sslmode=prefer",
    ],
)
def test_another_machine_is_reached_with_a_certificate_or_not_at_all(url: str) -> None:
    with pytest.raises(SettingsError, match="verified certificate"):
        open_store(url)


def test_a_command_says_that_the_store_is_away(tmp_path: Path) -> None:
    environment = {
        **os.environ, "SHUQIAO_STATE": str(tmp_path),
        "SHUQIAO_STORE": "postgresql://shuqiao@127.0.0.1:1/x",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "broker.cli.main", "--lang", "en", "grant", "list"],
        cwd=city.ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    assert "the control store cannot be used" in done.stdout + done.stderr
