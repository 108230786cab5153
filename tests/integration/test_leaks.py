"""Nothing personal in clear outside the sources and the records of a share.

Looked for: every value that belongs to one person alone (ID, phone, account and
certificate numbers, the house), over every file, log line, metric and message. That the
scan can see is shown by turning sealing off, and by turning one mask to keep.
"""

import csv
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.bootstrap import Broker
from broker.cli.main import app
from broker.cli.output import OUTPUT
from broker.errors import ShuQiaoError
from broker.policy.model import KEEP
from broker.projection import masks, projector
from broker.registry import unframe
from broker.seal import Opened, Sealer
from connectors.samples.population import Population
from tests import city, recompute
from tests.faults.test_kill import prepared

PEOPLE = 250
SEED = 7


def needles(broker: Broker) -> dict[bytes, str]:
    """Every value unique to one person, with the item it is a value of."""
    found: dict[bytes, str] = {}
    for person in Population(PEOPLE, SEED, broker.today, broker.divisions):
        found[person.id_no.encode()] = "id_no"
        found[person.phone.encode()] = "phone"
        found[person.address.encode()] = "address"
        county = person.division[:6]
        found[f"JZ{county}{person.index:09d}".encode()] = "permit_no"
        found[f"DB{county}{person.index:08d}".encode()] = "cert_no"
        found[f"FD{county}{person.index:08d}".encode()] = "contract_no"
    for file in sorted((broker.settings.sources_path / "minzheng" / "dibao").glob("*.csv")):
        with file.open(encoding="gb18030", errors="replace", newline="") as rows:
            for row in csv.DictReader(rows):
                if account := row["银行账号"]:
                    found[account.encode()] = "bank_account"
    return found


def forms(value: bytes) -> Iterator[bytes]:
    """A value as it may stand in a file."""
    yield value
    text = value.decode()
    yield text.encode("utf-16-le")
    yield value.hex().encode()
    if not text.isascii():
        yield text.encode("gb18030")
        yield text.encode("unicode_escape")


def leaks(data: bytes, values: dict[bytes, str]) -> set[str]:
    """The items of which a value stands in the data."""
    return {item for value, item in values.items() for form in forms(value) if form in data}


def files(broker: Broker) -> dict[str, bytes]:
    """Every file of the city but the sources."""
    sources = broker.settings.sources_path
    return {
        str(path.relative_to(broker.settings.state)): path.read_bytes()
        for path in broker.settings.state.rglob("*")
        if path.is_file() and sources not in path.parents
    }


def collect_all(broker: Broker) -> str:
    """Collect every dataset; everything that was said."""
    said = []
    for name in broker.catalog.datasets:
        for report in broker.runner(name, broker.mappings()).run(50):
            assert report.error is None
            said.append(repr(report))
    return "\n".join(said)


def test_nothing_in_clear_without_a_share(tmp_path: Path) -> None:
    prepared(tmp_path, PEOPLE, SEED)
    with city.city(tmp_path) as broker:
        said = collect_all(broker)
        values = needles(broker)
        found = files(broker)
        assert {"log.db", "log.db-wal", "store.db", "keyring.json", "events.jsonl"} <= set(found)
        assert len(found["log.db"]) + len(found["log.db-wal"]) > 200_000
        assert {name for name, data in found.items() if leaks(data, values)} == set()
        assert leaks(broker.telemetry.metrics() + said.encode(), values) == set()


def test_in_shares_only_what_was_decided(tmp_path: Path) -> None:
    prepared(tmp_path, PEOPLE, SEED)
    with city.city(tmp_path) as broker:
        collect_all(broker)
        for name in broker.catalog.datasets:
            city.relay(broker, name)
        values = needles(broker)
        kept = 0
        for one in broker.sharing.settle():
            if one.share is None:
                continue
            released = {name for name, effect in one.decision.released.items() if effect == KEEP}
            records = recompute.newest(broker, one.share.topic)
            data = b"\n".join(key + b" " + unframe(v)[1] for key, v in records.items())
            found = leaks(data, values)
            assert found <= released, one.grant.consumer.id
            kept += len(found)
        assert kept >= 2
        topics = [name for name in broker.log.topics() if name.startswith("shared.")]
        assert leaks(broker.telemetry.metrics(), values) == set()
        everything = {n: d for n, d in files(broker).items() if not n.startswith("log.db")}
        assert all(leaks(data, values) == set() for data in everything.values())
    copy = tmp_path / "without-shares.db"
    copy.write_bytes((tmp_path / "log.db").read_bytes())
    with sqlite3.connect(copy) as db:
        marks = ",".join("?" * len(topics))
        db.execute(
            f"DELETE FROM record WHERE topic IN (SELECT id FROM topic WHERE name IN ({marks}))",
            topics,
        )
        db.commit()
        db.execute("VACUUM")
    db.close()
    assert leaks(copy.read_bytes(), values) == set()


def test_of_closed_shares_nothing_is_left(tmp_path: Path) -> None:
    """First all shares but one are closed, then that one: what only closed shares held in clear
    stands in no file."""
    prepared(tmp_path, 80, SEED)
    with city.city(tmp_path) as broker:
        collect_all(broker)
        for name in broker.catalog.datasets:
            city.relay(broker, name)
        before = b"".join(files(broker).values())
        values = {one: item for one, item in needles(broker).items() if leaks(before, {one: item})}
        kept = {
            one.grant.id: {name for name, effect in one.decision.released.items() if effect == KEEP}
            for one in broker.sharing.settle()
            if one.share is not None
        }
        shown = set().union(*kept.values())
        seen = [set(values.values())]
        assert len(seen[0]) >= 2 and seen[0] <= shown
        *others, last = sorted(kept, key=lambda name: len(seen[0] & kept[name]))
        for ended in (others, [last]):
            for grant in ended:
                broker.sharing.revoke(grant, "purpose ended")
            assert len(broker.life.advance()) == len(ended)
            seen.append(leaks(b"".join(files(broker).values()), values))
        assert seen[0] > seen[1] == seen[0] & kept[last] != set()
        assert seen[2] == set()
        assert leaks(broker.telemetry.metrics(), values) == set()
        assert not [name for name in broker.log.topics() if name.startswith("shared.")]


def test_the_scan_sees_an_unsealed_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sealer, "seal", lambda self, topic, key, schema_id, body: body)
    monkeypatch.setattr(Sealer, "seal_all", lambda self, topic, keys, schema_id, bodies: bodies)
    monkeypatch.setattr(Sealer, "open", lambda self, topic, key, sealed: Opened(0, sealed))
    prepared(tmp_path, PEOPLE, SEED)
    with city.city(tmp_path) as broker:
        collect_all(broker)
        found = files(broker)
        seen = leaks(found["log.db"] + found["log.db-wal"], needles(broker))
        assert {"id_no", "phone", "permit_no", "cert_no", "contract_no", "bank_account"} <= seen


def test_the_scan_sees_a_mask_turned_to_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "has_kernel", lambda: False)  # it has masks of its own
    monkeypatch.setattr(masks.Pseudonyms, "of", lambda self, value: value)
    prepared(tmp_path, PEOPLE, SEED)
    with city.city(tmp_path) as broker:
        collect_all(broker)
        city.relay(broker)
        one = next(o for o in broker.sharing.settle() if o.grant.consumer.id == "grid_dongchangfu")
        assert one.share is not None
        data = b"".join(unframe(v)[1] for v in recompute.newest(broker, one.share.topic).values())
        assert "id_no" in leaks(data, needles(broker))


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a command says as it is typed: output, error, exit."""
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    monkeypatch.setenv("SHUQIAO_SETTLE_SECONDS", "0")
    monkeypatch.setattr(OUTPUT, "as_json", False)

    def say(*words: str) -> str:
        monkeypatch.setattr(OUTPUT, "as_json", False)
        error = ""
        try:
            app(list(words), standalone_mode=False)
        except ShuQiaoError as found:
            error = str(found)
        captured = capsys.readouterr()
        return f"{captured.out}{captured.err}{error}\n"

    return say


def test_no_error_or_message_shows_a_value(tmp_path: Path, typed: Callable[..., str]) -> None:
    """Every command that looks at records, as typed; `share read` is for who is entitled."""
    prepared(tmp_path, PEOPLE, SEED)
    with city.city(tmp_path) as broker:
        values = needles(broker)
        datasets = list(broker.catalog.datasets)
    said = "".join(
        typed(*words)
        for words in (
            ["connect", "run"], ["connect", "status"], ["relay"], ["share", "list"],
            ["grant", "list"], ["quarantine", "list"], ["policy", "matrix"],
            *(["quarantine", "show", name, "--limit", "999"] for name in datasets),
            *(["connect", "preview", name, "--rows", "50"] for name in datasets),
            *(["--json", "quarantine", "show", name] for name in datasets),
        )
    )  # fmt: skip
    assert len(said) > 20_000
    assert leaks(said.encode(), values) | leaks(flat(said), values) == set()


def flat(said: str) -> bytes:
    """Without what a table puts between the halves of a value."""
    return said.replace("\n", "").replace(" ", "").replace("│", "").encode()


def test_no_later_message_shows_a_value(tmp_path: Path, typed: Callable[..., str]) -> None:
    """Every command of a year: changes, ends, what is wrong and mended, what is asked about."""
    dataset, reason = "ga.resident_base", ("--reason", "r")
    prepared(tmp_path, PEOPLE, SEED)
    drops = tmp_path / "sources" / "minzheng" / "dibao"
    with city.city(tmp_path) as broker:
        values = needles(broker)
        people = list(Population(PEOPLE, SEED, broker.today, broker.divisions))
        grants = [one.grant.id for one in broker.sharing.settle() if one.share is not None]
    said = typed("connect", "run") + typed("relay")
    # what is somebody's where a header should be, a file that bears a number, others taken away
    file, *others = sorted(drops.glob("*.csv"))
    lines = file.read_bytes().splitlines(keepends=True)
    header = lines[0].decode("gb18030").replace("姓名", people[0].name).encode("gb18030")
    for name, first in (("a.csv", header), (f"{people[0].id_no}.csv", lines[1])):
        (drops / name).write_bytes(first + b"".join(lines[2:9]))
        os.utime(drops / name, (0, 0))
    (drops / f"{file.stem}.更正.csv").write_bytes(lines[0] + b"".join(lines[3:9]))
    (drops / f"{people[1].id_no}.更正.csv").write_bytes(b"".join(lines))
    for one in others:
        one.unlink()
    mapping = tmp_path / "mappings" / "ga_resident_base.yaml"
    text = mapping.read_text("utf-8")
    mapping.write_text(text.replace('"1": "1"', f'"{people[0].id_no}": "1"'), "utf-8")
    county = city.county(tmp_path, "371502").rename(tmp_path / "away")
    source = "ga_t_rkxx-371502"
    said += "".join(
        typed(*words)
        for words in (
            ["connect", "run"], ["connect", "run", "--again"], ["--json", "connect", "run"],
            ["connect", "status"], ["--json", "connect", "status"], ["doctor"],
            ["connect", "pause", dataset, source], ["connect", "resume", dataset, source],
            ["connect", "forget", dataset, source], ["quarantine", "replay"],
        )
    )  # fmt: skip
    mapping.write_text(text, "utf-8")
    (drops / f"{people[0].id_no}.csv").unlink()
    (tmp_path / "away").rename(county)
    said += "".join(
        typed(*words)
        for words in (
            ["quarantine", "replay"], ["--json", "quarantine", "replay", dataset],
            ["connect", "run", "--again"], ["connect", "run", "--allow-deletes", "mz_dibao"],
            ["relay"], ["reconcile"], ["--json", "reconcile"], ["doctor"],
            ["policy", "diff"], ["policy", "versions"],
            ["policy", "apply", "--author", "a", "--approver", "b", "--yes", *reason],
            *(["grant", "show", one] for one in grants),
            ["grant", "suspend", grants[0], *reason], ["grant", "resume", grants[0], *reason],
            ["grant", "revoke", grants[1], *reason], ["share", "list"],
            ["policy", "explain", "grid_dongchangfu", dataset],
            ["consumer", "key", "add", "grid_dongchangfu"], ["consumer", "key", "list"],
            ["consumer", "change", "grid_dongchangfu", "--tier", "T1", "--author", "a", "--yes",
             "--approver", "b", *reason],
            ["consumer", "changes"], ["consumer", "pulls"], ["quarantine", "list"],
            ["quarantine", "show", "mz.subsistence_allowance"], ["connect", "status"],
        )
    )  # fmt: skip
    assert "column" in said and "corrected" not in said and len(said) > 20_000
    assert leaks(said.encode(), values) | leaks(flat(said), values) == set()
    names = {person.name.encode(): "name" for person in people}
    assert leaks(said.encode(), names) == set()
    found = {name: data for name, data in files(broker).items() if name == "events.jsonl"}
    assert found and not any(leaks(data, values | names) for data in found.values())
