"""The watcher of open lines goes on looking whatever goes wrong with a look; the role `serve`
ends with it, and gives its ports back."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.errors import SettingsError, ShuQiaoError, StoreError
from broker.sharing import versions
from broker.sharing.keys import ApiKey
from broker.telemetry import Event, RequestFailed
from broker.web import lines as lines_module
from broker.web.lines import Line, Lines
from broker.web.rights import Right
from broker.web.role import port_hold
from tests import city

SECRET = "990000198001160010"
BLIND = 0.1


class Judge:
    """Sharing, rights and pulse of the lines: fails when it is told to, and counts its looks."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.looks = 0
        self.gone: set[tuple[str, str]] = set()

    def revision(self) -> int:
        self.looks += 1
        return self.looks

    def ended(self, rights: Any) -> set[tuple[str, str]]:
        if self.error is not None:
            raise self.error
        return self.gone

    def beat(self) -> None:
        return None


def right(consumer: str) -> Right:
    """A right to the share `s`."""
    share: Any = type("Share", (), {"id": "s"})()
    return Right(ApiKey(f"key of {consumer}", consumer, ""), share)


async def over(line: Line) -> None:
    try:
        await asyncio.wait_for(line.over.wait(), 5)
    except TimeoutError:
        raise AssertionError("it goes on") from None


@pytest.mark.parametrize("error", [OSError(28, SECRET), ValueError(SECRET), StoreError("away")])
def test_a_look_that_fails_ends_what_is_open_and_not_the_watching(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(lines_module, "LOOK", 0.01)
    monkeypatch.setattr(lines_module, "BLIND", BLIND)
    judge: Any = Judge()
    events: list[Event] = []

    async def watched() -> None:
        lines = Lines(judge, judge, judge, 5, events.append)
        watching = asyncio.ensure_future(lines.watch())
        with lines.opened(right("a"), ("h", 1)) as line:
            judge.error = error
            await over(line)
        judge.error = None
        with lines.opened(right("b"), ("h", 2)) as line:
            before = judge.looks
            while judge.looks < before + 3:
                await asyncio.sleep(0.01)
                assert not watching.done(), "it looks no more"
            assert not line.over.is_set()
            judge.gone = {("key of b", "s")}
            await over(line)
        watching.cancel()

    asyncio.run(asyncio.wait_for(watched(), 10))
    kinds = {one.error for one in events if isinstance(one, RequestFailed)}
    assert kinds == (set() if isinstance(error, ShuQiaoError) else {type(error).__name__})
    assert SECRET not in str(events)


def test_a_connection_is_cut_where_that_cannot_be_noted() -> None:
    cut: list[str] = []

    def full(event: Event) -> None:
        raise OSError(28, "no space")

    judge: Any = Judge()
    transport: Any = type(
        "Transport",
        (),
        {"get_extra_info": lambda self, name: None, "abort": lambda self: cut.append("cut")},
    )()

    async def ended() -> list[Any]:
        failed: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))
        lines = Lines(judge, judge, judge, 5, full)
        lines._transports["h", 1] = transport
        with lines.opened(right("a"), ("h", 1)) as line:
            lines.cut(line, "right_ended")
        await asyncio.sleep(0)
        return failed

    (failed,) = asyncio.run(ended())
    assert cut == ["cut"]
    assert isinstance(failed, OSError)


def test_http_without_its_watcher_ends_to_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(self: Lines) -> None:
        await asyncio.sleep(0.1)
        raise ZeroDivisionError

    monkeypatch.setattr(Lines, "watch", ends)
    assert isinstance(how_it_ended(tmp_path), ZeroDivisionError)


def how_it_ended(folder: Path) -> BaseException | None:
    """How the role `serve` ends that nobody stops."""
    found: list[BaseException | None] = []

    def run(act: Callable[[], None]) -> None:
        try:
            act()
            found.append(None)
        except BaseException as error:  # noqa: BLE001  told by the test
            found.append(error)

    with city.city(folder, http_port=0, metrics_port=0) as broker:
        role, stop = broker.serve_role(lambda url: None), threading.Event()
        thread = threading.Thread(target=run, args=(lambda: role.run(stop),))
        thread.start()
        thread.join(8)
        goes_on = thread.is_alive()
        stop.set()
        thread.join(8)
    assert not goes_on, "it serves although nobody watches"
    return found[0]


@pytest.mark.parametrize("error", [FileNotFoundError(2, SECRET), OSError(28, SECRET)])
def test_a_policy_that_cannot_be_laid_out_is_our_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def full(*words: Any, **more: Any) -> Any:
        raise error

    with city.city(tmp_path) as broker:
        content, _ = broker.versions.files(broker.today)
        monkeypatch.setattr(versions.tempfile, "TemporaryDirectory", full)
        with pytest.raises(StoreError) as found:
            broker.versions.chosen(0, content, broker.today)
    assert SECRET not in str(found.value) and "TMPDIR" in str(found.value)
    assert found.value.__suppress_context__


def test_a_serve_role_that_is_closed_gives_its_port_hold_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with city.city(tmp_path, http_port=port, metrics_port=0) as broker:
        role = broker.serve_role(lambda url: None)
        for _ in range(2):  # run again, and closed
            assert role.take()
            assert broker.hold(port_hold(port)).elsewhere()
            role.close()
            assert not broker.hold(port_hold(port)).elsewhere()


def test_a_wrong_certificate_is_told_while_another_process_serves(tmp_path: Path) -> None:
    (wrong := tmp_path / "wrong.pem").write_text("none")
    given = {"http_certificate": wrong, "http_private_key": wrong}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with city.city(tmp_path, http_port=port, metrics_port=0) as broker:
            hold = broker.hold(port_hold(port))
            assert hold.taken()
            assert not broker.serve_role(lambda url: None).take(), "it stands by"
        with (
            city.city(tmp_path, http_port=port, metrics_port=0, **given) as broker,
            pytest.raises(SettingsError, match="certificate"),
        ):
            broker.serve_role(lambda url: None).take()
        hold.release()
