"""Ordinary clients of Apache Kafka, as README shows them, against the running product."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from typer.testing import CliRunner

from broker.cli.main import app
from broker.cli.snippet import FOLDER, Lang, filled
from broker.sharing.share import LIVE
from deploy.kafka.cluster import Cluster, NoKafka, fetch_libraries
from tests import city, debian
from tests.elsewhere import FIRST, elsewhere
from tests.kafka import lacking
from tests.serving import Served, served

DATASET = "ga.resident_base"
JAVA = Path(__file__).with_name("java")
README = (city.ROOT / "README.md").read_text("utf-8")
PEOPLE = 30
_SUFFIX = {Lang.PYTHON: ".py", Lang.PURE: ".py", Lang.JAVA: ".java"}


@pytest.fixture
def web(on_kafka: Callable[[str], None], tmp_path: Path) -> Iterator[Served]:
    on_kafka("librdkafka")
    city.use_mapping(tmp_path)
    with served(tmp_path, PEOPLE) as found:
        yield found


class Client:
    """A program of README's, running as a consumer; what it prints goes into a file."""

    def __init__(
        self, web: Served, kafka: Cluster, lang: Lang, folder: Path, registry: str = ""
    ) -> None:
        self.name = lang.value.replace("-", "_")
        self.grant = city.grant(web.broker, self.name, "name").grant.id
        password = web.broker.credentials.rotate(self.name)
        self.out = folder / f"{self.name}.out"
        program = folder / f"{'Copy' if lang is Lang.JAVA else self.name}{_SUFFIX.get(lang, '.sh')}"
        program.write_text((FOLDER / f"{lang}.txt").read_text("utf-8"), "utf-8")
        self._command = command(lang, program, folder)
        self._env = os.environ | {
            "KAFKA": kafka.servers,
            "CA": kafka.settings["kafka_ca"],
            "CONSUMER": self.name,
            "PASSWORD": password,
            "KEY": web.broker.api_keys.add(self.name),
            "REGISTRY": registry or web.url,
            "DATASET": DATASET,
            "PATH": f"{folder}:{os.environ['PATH']}",
        }
        if lang is Lang.KCAT:
            self._env["LD_LIBRARY_PATH"] = newer_librdkafka(folder)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.out.open("wb") as out:
            self._process = subprocess.Popen(
                self._command, env=self._env, cwd=self._folder, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        """What it has printed."""
        assert self._process is not None and self._process.poll() is None, self.out.read_text()
        return self.out.read_bytes().decode("utf-8", "replace")

    def end(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self._process.pid, 9)
            self._process.wait()


def newer_librdkafka(folder: Path) -> str:
    """Debian's kcat, with the librdkafka of confluent-kafka: its own cannot log in to Kafka 4."""
    bundled = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    (found,) = bundled.glob("librdkafka*.so.1")
    (folder / "librdkafka.so.1").symlink_to(found)
    return f"{folder}:{bundled}"


def command(lang: Lang, program: Path, folder: Path) -> list[str]:
    """How the program is run."""
    if lang in (Lang.PYTHON, Lang.PURE):
        return [sys.executable, "-W", "ignore", str(program)]
    if lang is Lang.JAVA:
        libraries = fetch_libraries(JAVA / "pom.xml", JAVA / "target" / "libs")
        return ["java", "-Xmx256m", "-cp", f"{libraries}/*", str(program)]
    if lang is Lang.CONSOLE:
        tool = folder / "kafka-console-consumer.sh"
        java = f"exec java -Xmx256m -cp '{fetch_libraries()}/*'"
        tool.write_text(f'#!/bin/sh\n{java} org.apache.kafka.tools.consumer.ConsoleConsumer "$@"\n')
        tool.chmod(0o755)
    return ["sh", str(program)]


def shows(client: Client, lang: Lang, topic: str) -> bool:
    """Whether it has said that its copy of a share is whole, and it has no other."""
    said = client.said()
    if lang in (Lang.PYTHON, Lang.PURE):
        return said.rstrip().endswith(f"{{'{topic}': {PEOPLE}}}")
    if lang is Lang.JAVA:
        last = said.rstrip().splitlines()[-1:]
        ended = [one for one in said.splitlines() if one.startswith("shared.")][-2:]
        return last == [f"{topic}: {PEOPLE}"] and set(ended) == set(last)
    if lang is Lang.KCAT:
        return said.count(f"{topic} ") >= PEOPLE
    return said.count("张") >= PEOPLE


def test_each_client_reads_its_share_and_moves_on_to_the_next(
    kafka: Cluster, web: Served, tmp_path: Path
) -> None:
    """Every program of README keeps a copy; a share closes and another opens: no restart."""
    debian.needs("kcat")
    clients: dict[Lang, Client] = {}
    try:
        for lang in Lang:
            folder = tmp_path / f"as-{lang}"
            folder.mkdir()
            clients[lang] = Client(web, kafka, lang, folder)
        city.relay(web.broker)
        first = {one.share.topic for one in web.broker.sharing.audiences()}
        assert len(first) == 1, "equal grants have one share"
        for client in clients.values():
            client.start()
        (topic,) = first
        for lang, client in clients.items():
            city.until(lambda: shows(client, lang, topic), 60)  # noqa: B023
        for client in clients.values():
            web.broker.sharing.suspend(client.grant, "r")
        city.relay(web.broker)
        for client in clients.values():
            web.broker.sharing.resume(client.grant, "r")
        city.relay(web.broker)
        (now,) = web.broker.sharing.audiences()
        assert now.share.state == LIVE and now.share.topic != topic
        clients.pop(Lang.CONSOLE).end()  # it is for a look, and ends where a right ends
        for lang, client in clients.items():
            city.until(lambda: shows(client, lang, now.share.topic), 90)  # noqa: B023
    except NoKafka as error:
        lacking(str(error))
    finally:
        for client in clients.values():
            client.end()


@pytest.mark.parametrize("lang", [one for one in Lang if one is not Lang.CONSOLE])
def test_readme_shows_them_as_they_are(lang: Lang) -> None:
    assert (FOLDER / f"{lang}.txt").read_text("utf-8") in README


def test_a_client_reads_by_a_registry_elsewhere_and_moves_on(
    kafka: Cluster,
    on_kafka: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ids in the frames are that registry's; a closed share's subject goes with it."""
    on_kafka("librdkafka")
    city.use_mapping(tmp_path)
    with elsewhere() as there:
        monkeypatch.setenv("SHUQIAO_REGISTRY_URL", there.url)
        with served(tmp_path, PEOPLE) as web:
            client = Client(web, kafka, Lang.PYTHON, tmp_path, there.url)
            publisher = web.broker.publisher
            assert publisher
            try:
                publisher.step()
                city.relay(web.broker)
                (first,) = web.broker.sharing.shares()
                assert first.schema_id >= FIRST
                client.start()
                city.until(lambda: shows(client, Lang.PYTHON, first.topic), 60)
                web.broker.sharing.suspend(client.grant, "t")
                web.broker.life.advance()
                web.broker.sharing.resume(client.grant, "t")
                publisher.step()
                city.relay(web.broker)
                (second,) = web.broker.sharing.shares()
                city.until(lambda: shows(client, Lang.PYTHON, second.topic), 60)
            finally:
                client.end()
            shared = [name for name in there.subjects if name.startswith("shared.")]
            assert shared == [f"{second.topic}-value"] and not there.deleted


def test_snippets_are_filled_in_and_hold_no_secret(
    web: Served, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.grant(web.broker, "a", "name")
    web.broker.sharing.add_consumer("idle", "mz", 3, "")  # type: ignore[arg-type]
    password, key = web.broker.credentials.rotate("a"), web.broker.api_keys.add("a")
    monkeypatch.setenv("SHUQIAO_STATE", str(web.broker.settings.state))
    for lang in Lang:
        done = CliRunner().invoke(app, ["consumer", "snippet", "a", "--lang", lang])
        assert done.exit_code == 0, done.output
        for part in (kafka.servers, kafka.settings["kafka_ca"], DATASET, '"a"'):
            assert part.strip('"') in done.output
        assert password not in done.output and key not in done.output
        left = {name for name in ("KAFKA", "CA", "CONSUMER") if f'["{name}"]' in done.output}
        assert not left
    refused: Any = CliRunner().invoke(app, ["consumer", "snippet", "idle"])
    assert "which dataset?" in str(refused.exception)


def test_what_is_filled_in_runs(web: Served, kafka: Cluster, tmp_path: Path) -> None:
    """The filled-in program, with the two secrets alone in its environment."""
    city.grant(web.broker, "a", "name")
    password = web.broker.credentials.rotate("a")
    city.relay(web.broker)
    values = {
        "KAFKA": kafka.servers, "CA": kafka.settings["kafka_ca"], "CONSUMER": "a",
        "DATASET": DATASET, "REGISTRY": web.url,
    }  # fmt: skip
    program = tmp_path / "a.py"
    text = (FOLDER / "python.txt").read_text("utf-8")
    program.write_text(filled(text, Lang.PYTHON, values), "utf-8")
    secrets = {"PASSWORD": password, "KEY": web.broker.api_keys.add("a")}
    running = subprocess.Popen(
        [sys.executable, str(program)], env=os.environ | secrets, stdout=subprocess.PIPE
    )
    try:
        assert running.stdout
        until = time.monotonic() + 30
        while f": {PEOPLE}}}" not in (line := running.stdout.readline().decode()):
            assert time.monotonic() < until and running.poll() is None, line
    finally:
        running.kill()
        running.communicate()
