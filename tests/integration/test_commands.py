"""Commands as typed, over one city: policy put in force, grants ended, shares shown."""

import json
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from broker.bootstrap import opened
from broker.cli.clock import city_time
from broker.cli.main import app
from broker.cli.output import OUTPUT
from broker.errors import GrantError, SourceError, StoreError
from broker.sharing.emergency import Cut, Emergency
from broker.sharing.pulls import Pull
from tests import city

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"
RULE = (
    "rules:\n- {id: x, title: t, reason: r, owner: ga,\n"
    f"   limit: {{datasets: [{DATASET}], items: [name], to: surname}}}}\n"
)
Type = Callable[..., Any]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Type a command with --json; what it printed, as JSON."""
    city.use_mapping(tmp_path)
    city.put(city.county(tmp_path, "371502"), *(city.resident(n, NOW) for n in range(5)))
    monkeypatch.setenv("SHUQIAO_STATE", str(tmp_path))
    monkeypatch.setenv("SHUQIAO_SETTLE_SECONDS", "0")
    monkeypatch.setattr(OUTPUT, "as_json", False)
    monkeypatch.setattr(OUTPUT, "console", OUTPUT.console)

    def type_(*words: str) -> Any:
        app(["--json", *words], standalone_mode=False)
        said = capsys.readouterr().out
        return json.loads(said) if said.strip() else None

    type_("connect", "run")
    type_("consumer", "add", "a", "--department", "mz", "--tier", "T3")
    return type_


def add(typed: Type) -> dict[str, Any]:
    found = typed(
        "grant", "add", "a", DATASET, "--items", "name,sex", "--purpose", "p", "--basis", "b",
        "--scope", "3715", "--until", "2099-01-01", "--impact", "i", "--notice", "n",
    )  # fmt: skip
    typed("relay")
    return dict(found)


def write_rule(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "policies" / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(text)


def test_files_count_once_they_are_applied(tmp_path: Path, typed: Type) -> None:
    grant = add(typed)
    assert typed("policy", "check")["in_force"] is True and typed("policy", "diff") == []
    write_rule(tmp_path, RULE)
    assert typed("policy", "check")["in_force"] is False
    (change,) = typed("policy", "diff")
    assert change == {
        "grant": grant["grant"], "consumer": "a", "dataset": DATASET, "item": "name",
        "before": "keep", "after": "surname", "direction": "narrower", "state": "ACTIVE",
    }  # fmt: skip
    assert typed("grant", "show", grant["grant"])["effects"]["name"] == "keep"
    applied = typed("policy", "apply", "--author", "甲", "--reason", "r", "--yes")
    assert applied == {"version": 2, "changes": [change], "loosened": []}
    assert typed("grant", "show", grant["grant"])["effects"]["name"] == "surname"
    versions = typed("policy", "versions")
    assert [one["number"] for one in versions] == [1, 2]
    assert versions[-1]["digest"].startswith(typed("policy", "check")["version"])
    (back,) = typed("policy", "diff", "2", "1")
    assert (back["before"], back["after"], back["direction"]) == ("surname", "keep", "wider")
    again = typed("policy", "apply", "--author", "甲", "--reason", "r")  # nothing to ask about
    assert again == {"version": 2, "changes": [], "loosened": []}


@pytest.mark.parametrize("approver", [[], ["--approver", "甲"], ["--approver", " 甲 "]])
def test_what_shows_more_needs_another_person(
    tmp_path: Path, typed: Type, approver: list[str]
) -> None:
    write_rule(tmp_path, RULE)
    add(typed)
    write_rule(tmp_path, "rules: []\n")
    words = ["policy", "apply", "--author", "甲", "--reason", "r"]
    with pytest.raises(GrantError, match="another approver"):  # refused before it asks
        typed(*words, *approver)
    assert typed(*words, "--yes", "--approver", "乙")["version"] == 2


def test_a_suspended_grant_and_a_looser_rule_are_told(tmp_path: Path, typed: Type) -> None:
    write_rule(tmp_path, RULE)
    grant = add(typed)
    typed("grant", "suspend", grant["grant"], "--reason", "r")
    write_rule(tmp_path, "rules: []\n")
    (change,) = typed("policy", "diff")
    assert (change["item"], change["state"], change["direction"]) == ("name", "SUSPENDED", "wider")
    words = ["policy", "apply", "--author", "甲", "--reason", "r", "--yes"]
    with pytest.raises(GrantError, match="another approver"):
        typed(*words)
    applied = typed(*words, "--approver", "乙")
    assert applied["changes"] == [change]
    assert applied["loosened"] == [{"id": "x", "how": "limit"}]


def test_a_grant_is_revoked_and_its_share_closed(typed: Type) -> None:
    grant = add(typed)
    share = typed("share", "list")[0]
    assert share["state"] == "LIVE"
    shown = typed("share", "show", share["topic"])
    assert (shown["state"], shown["caught_up"], shown["consumers"]) == ("LIVE", "4/4", ["a"])
    suspended = typed("grant", "suspend", grant["grant"], "--reason", "r")
    assert (suspended["state"], suspended["closed"]) == ("SUSPENDED", [share["share"]])
    resumed = typed("grant", "resume", grant["grant"], "--reason", "r")
    assert resumed["share"] not in (None, share["share"])
    typed("relay")
    revoked = typed("grant", "revoke", grant["grant"], "--reason", "r")
    assert revoked["closed"] == [resumed["share"]]
    assert typed("share", "list") == []
    assert typed("share", "show", share["share"])["state"] == "CLOSED"
    assert typed("grant", "list")[0]["state"] == "TERMINATED"
    assert add(typed)["share"] not in (share["share"], resumed["share"])


@pytest.fixture
def told(typed: Type, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a command; what a person reads, in English, without the breaks of a table."""

    def told_(*words: str) -> str:
        monkeypatch.setattr(OUTPUT, "as_json", False)
        monkeypatch.setattr(OUTPUT, "console", Console(width=300))
        app(["--lang", "en", *words], standalone_mode=False)
        return capsys.readouterr().out

    monkeypatch.setattr(OUTPUT, "lang", OUTPUT.lang)
    return told_


def test_a_wipe_that_is_put_off_is_told(tmp_path: Path, typed: Type, told: Type) -> None:
    """Somebody reads an older state of the log: the right ends, the values wait."""
    grant = add(typed)
    other = sqlite3.connect(tmp_path / "log.db")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM record").fetchone()
    suspended = typed("grant", "suspend", grant["grant"], "--reason", "r")
    assert (suspended["closed"], suspended["closing"]) == ([], [grant["share"]])
    text = told("grant", "revoke", grant["grant"], "--reason", "r")
    assert f"share {grant['share']}" in text and "still to be wiped" in text
    other.close()
    typed("relay")
    assert typed("share", "show", grant["share"])["state"] == "CLOSED"


def test_an_ended_grant_says_how_and_why(typed: Type, told: Type) -> None:
    grant = add(typed)["grant"]
    assert "name, sex" in told("grant", "show", grant)
    for command, state, word in (
        ("suspend", "SUSPENDED", "suspended"), ("revoke", "TERMINATED", "revoked"),
    ):  # fmt: skip
        typed("grant", command, grant, "--reason", f"because {command}")
        shown = typed("grant", "show", grant)
        assert (shown["state"], shown["reason"]) == (state, f"because {command}")
        assert shown["changed_at"].startswith(f"{datetime.now(UTC):%Y-%m-%dT%H:}")
        (why,) = typed("policy", "explain", "a", DATASET)
        assert (why["state"], why["reason"]) == (state, f"because {command}")
        assert [one["state"] for one in typed("policy", "matrix")] == [state]
        for words in (("grant", "show", grant), ("policy", "explain", "a", DATASET)):
            text = told(*words)
            assert f"because {command}" in text and word in text
            assert "not valid on" not in text
        assert word in told("policy", "matrix")


def test_an_expired_and_a_future_grant_say_so(tmp_path: Path, typed: Type, told: Type) -> None:
    grant = add(typed)["grant"]
    with city.city(tmp_path) as broker:
        until = broker.sharing.grant(grant).grant.valid_until
        first = city.grant(broker, "b", "name", valid_from="2090-01-01", valid_until="2099-01-01")
    assert typed("grant", "show", first.grant.id)["state"] == "PENDING"
    assert "not begun" in told("policy", "explain", "b", DATASET)
    with city.city(tmp_path, until + timedelta(days=1)) as broker:
        broker.sharing.settle()
    shown = typed("grant", "show", grant)
    assert (shown["state"], shown["changed_at"]) == ("EXPIRED", until.isoformat())
    text = told("grant", "show", grant)
    assert "expired" in text and "2099-01-01" in text and "not valid on" not in text


def test_a_tier_is_changed(typed: Type, told: Type) -> None:
    grant = add(typed)
    words = ["consumer", "change", "a", "--tier", "T2", "--author", "甲", "--reason", "r", "--yes"]
    changed = typed(*words)
    assert (changed["consumer"], changed["before"], changed["after"]) == ("a", "T3", "T2")
    assert [(one["item"], one["direction"]) for one in changed["changes"]] == [("name", "narrower")]
    assert typed("consumer", "list")[0]["tier"] == "T2"
    assert typed("grant", "show", grant["grant"])["effects"]["name"] == "surname"
    assert typed("share", "show", grant["share"])["state"] == "CLOSED"
    back = ["T3" if word == "T2" else word for word in words]
    with pytest.raises(GrantError, match="another approver"):  # refused before it asks
        typed(*back[:-1])
    typed(*back, "--approver", "乙")
    at = city_time(typed("consumer", "changes")[-1]["at"], ZoneInfo("Asia/Shanghai"))
    assert "乙" in (said := told("consumer", "changes")) and at in said
    assert [one["after"] for one in typed("consumer", "changes")] == ["T2", "T3"]


def test_a_preview_is_json_too(typed: Type) -> None:
    rows = typed("connect", "preview", DATASET, "--rows", "2")
    assert len(rows) == 2
    assert {"column", "shape", "item", "becomes"} == set(rows[0]["cells"][0])
    assert city.resident(0, NOW)["gmsfhm"] not in json.dumps(rows)


def test_sources_are_held_and_gone_ones_forgotten(tmp_path: Path, typed: Type) -> None:
    dataset, source = "ga.resident_base", "ga_t_rkxx-371502"
    states = {one["source"]: one for one in typed("connect", "status")}
    assert states[source]["state"] == "idle" and states[source]["behind"] == 0
    city.put(city.county(tmp_path, "371502"), city.resident(77, datetime.now()))
    assert typed("connect", "status")[0]["behind"] == 1
    typed("connect", "pause", dataset, source)
    (report,) = typed("connect", "run", dataset)[dataset]
    assert report["paused"] and report["rows"] == 0
    assert typed("connect", "status")[0]["state"] == "paused"
    wrong = tmp_path / "mappings" / "wrong.yaml"
    wrong.write_text("dataset: [")
    typed("connect", "resume", dataset, source)  # another mapping holds nothing up
    wrong.unlink()
    (report,) = typed("connect", "run", dataset)[dataset]
    assert report["appended"] == 1
    with pytest.raises(SourceError, match="nothing holds"):
        typed("connect", "resume", dataset, source)
    with pytest.raises(SourceError, match="no source"):
        typed("connect", "pause", dataset, "nobody")
    with pytest.raises(SourceError, match="a mapping gives"):
        typed("connect", "forget", dataset, source)
    city.county(tmp_path, "371521")
    typed("connect", "run", dataset)
    city.county(tmp_path, "371521").unlink()
    reports = typed("connect", "run", dataset)[dataset]
    assert ["disappeared" in one["error"] for one in reports] == [False, True]
    typed("connect", "forget", dataset, "ga_t_rkxx-371521")
    typed("connect", "run", dataset)


def test_a_quarantine_is_replayed(tmp_path: Path, typed: Type) -> None:
    now = datetime.now() - timedelta(hours=1)
    city.put(city.county(tmp_path, "371502"), city.resident(88, now, xb="男"))
    typed("connect", "run")
    assert typed("quarantine", "list")[0]["records"] == 1
    mapping = tmp_path / "mappings" / "ga_resident_base.yaml"
    text = mapping.read_text("utf-8")
    mapping.write_text(text.replace('"1": "1"', '"男": "1", "1": "1"'), "utf-8")
    (report,) = typed("quarantine", "replay", "ga.resident_base")
    assert (report["collected"], report["wrong"]) == (1, 0)
    assert typed("quarantine", "list") == [] and typed("quarantine", "replay") == []


def test_every_table_shows_the_city_s_time(
    typed: Type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    zone = "Asia/Kathmandu"  # nobody else is 5:45 from UTC
    monkeypatch.setenv("SHUQIAO_TIMEZONE", zone)
    monkeypatch.setenv("SHUQIAO_LANG", "en")
    made = add(typed)
    with opened() as broker:
        one = Pull("a", "k", DATASET, made["share"], "records", [0], [1], 1)
        broker.pulls.record(one)
    typed("consumer", "key", "add", "a")
    for words in (
        ("connect", "status"), ("consumer", "pulls"), ("consumer", "key", "list"),
        ("policy", "versions"),
    ):  # fmt: skip
        monkeypatch.setattr(OUTPUT, "as_json", False)
        monkeypatch.setattr(OUTPUT, "console", Console(width=200))
        app([*words], standalone_mode=False)
        said = capsys.readouterr().out
        found = re.findall(r"\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d", said)
        assert found, said
        for moment in found:
            shown = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))
            assert abs(datetime.now(ZoneInfo(zone)) - shown) < timedelta(minutes=3), words
            assert "+00:00" not in said and "Z" not in said


def test_an_emergency_needs_no_store(typed: Type, tmp_path: Path) -> None:
    """With it the grant ends as ever; without it the controller carries it out later."""
    first = add(typed)["grant"]
    assert typed("grant", "revoke", first, "--reason", "r", "--emergency")["state"] == "TERMINATED"
    second = add(typed)
    with opened() as broker:
        broker.controller_role().look()
    store = tmp_path / "store.db"
    store.rename(tmp_path / "away.db")
    store.write_bytes(b"no database")
    found = typed("grant", "revoke", second["grant"], "--reason", "stolen", "--emergency")
    assert found["store"] == "away" and len(found["topics"]) == 1
    with pytest.raises(StoreError):
        typed("grant", "revoke", "g00000000", "--reason", "r", "--emergency")
    (tmp_path / "away.db").replace(store)
    with opened() as broker:
        broker.controller_role().look()
        ended = broker.sharing.grant(second["grant"])
        assert (ended.state, ended.reason) == ("TERMINATED", "stolen")
        assert not broker.emergency.pending()
    third = add(typed)["grant"]
    with opened() as broker:
        broker.controller_role().look()
    assert typed("grant", "revoke", third, "--reason", "r", "--emergency")["state"] == "TERMINATED"
    with opened() as broker:
        assert not broker.emergency.pending(), "the store knows"


def test_an_emergency_that_the_controller_carries_out_first_is_no_error(
    typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = add(typed)["grant"]
    with opened() as broker:
        broker.controller_role().look()
    end = Emergency.end

    def meanwhile(self: Emergency, *words: str) -> tuple[Cut, list[str]]:
        found = end(self, *words)
        with opened() as beside:
            beside.controller_role().look()
            assert beside.sharing.grant(grant).state == "TERMINATED"
        return found

    monkeypatch.setattr(Emergency, "end", meanwhile)
    words = ("grant", "revoke", grant, "--reason", "stolen", "--emergency")
    assert typed(*words)["state"] == "TERMINATED"
    monkeypatch.setattr(Emergency, "end", end)
    assert typed(*words)["state"] == "TERMINATED", "it has ended: nothing is left to do"
    with pytest.raises(GrantError):
        typed("grant", "revoke", "g00000000", "--reason", "r", "--emergency")
