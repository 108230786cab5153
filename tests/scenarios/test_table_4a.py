"""The demo's table of grants, decided row by row with the shipped policies."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from broker.cli.demo.script import GRANTS, relaxes
from broker.model import Dataset, Level, Scope
from broker.policy.decide import decide
from broker.policy.load import load_policy
from broker.policy.model import Consumer, Decision, Grant, Holding, Policy
from tests.laws.records import CATALOG

TODAY = date(2026, 11, 23)
POLICIES = Path(__file__).parents[2] / "policies"
TABLE = YAML(typ="safe", pure=True).load(Path(__file__).with_name("table_4a.yaml"))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = tmp_path_factory.mktemp("policies")
    (folder / "rules").mkdir()
    (folder / "rules" / "demo.yaml").write_text(relaxes(TODAY), "utf-8")
    loaded = load_policy([POLICIES, folder], CATALOG, TODAY)
    assert [one.id for one in loaded.relaxes] == TABLE["given"]["relaxes"]
    return loaded


def grant_of(number: int, when: dict[str, Any]) -> Grant:
    who = TABLE["given"]["consumers"][when["consumer"]]
    until = TODAY - timedelta(days=1) if when.get("expired") else TODAY + timedelta(days=365)
    return Grant(
        id=f"g{number}",
        consumer=Consumer(when["consumer"], who["department"], Level(int(who["tier"][1]))),
        dataset=when["dataset"],
        items=tuple(when["items"]),
        purpose=f"p{number}",
        legal_basis="b",
        scope=Scope(when["scope"]),
        valid_from=TODAY - timedelta(days=400),
        valid_until=until,
        impact_assessment="i",
        notice="n",
        minors=when.get("minors", ""),
        sequence=number,
    )


def decided(policy: Policy) -> list[tuple[dict[str, Any], Decision]]:
    held: dict[str, list[tuple[Holding, Dataset]]] = {}
    found = []
    for number, scenario in enumerate(TABLE["scenarios"]):
        grant = grant_of(number, scenario["when"])
        dataset = CATALOG.dataset(grant.dataset)
        holdings = held.setdefault(grant.consumer.department, [])
        decision = decide(grant, tuple(holdings), dataset, policy)
        holdings.append((Holding(grant, {} if decision.refused else decision.released), dataset))
        found.append((scenario, decision))
    return found


def test_every_row_of_the_table(policy: Policy) -> None:
    for scenario, decision in decided(policy):
        then = scenario["then"]
        if "refused" in then:
            assert decision.refused and decision.refused.code == then["refused"], scenario["title"]
        else:
            assert not decision.refused, scenario["title"]
            asked = scenario["when"]["items"]
            assert {n: str(decision.effects[n]) for n in asked} == then, scenario["title"]


def test_without_the_relaxes_the_town_gets_no_allowance_and_no_overdue() -> None:
    bare = load_policy([POLICIES], CATALOG, TODAY)
    decisions = {scenario["title"]: decision for scenario, decision in decided(bare)}
    allowance = next(d for t, d in decisions.items() if "低保初审" in t)
    assert str(allowance.effects["cert_no"]) == "pseudonym" and "name" not in allowance.released
    reminder = next(d for t, d in decisions.items() if "接种提醒" in t)
    assert "overdue" not in reminder.released


def test_a_lowered_presence_level_is_named_among_the_reasons(policy: Policy) -> None:
    decisions = {scenario["title"]: decision for scenario, decision in decided(policy)}
    allowance = next(d for t, d in decisions.items() if "低保初审" in t)
    why = [(reason.by, reason.id, str(reason.effect)) for reason in allowance.reasons["name"]]
    assert why[1:] == [
        ("presence", "presence.L4", "drop"),
        ("relax", "demo-allowance-presence", "keep"),
    ]


def test_a_relax_ends_by_itself(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "demo.yaml").write_text(relaxes(TODAY - timedelta(days=366)), "utf-8")
    later = load_policy([POLICIES, tmp_path], CATALOG, TODAY)
    for (scenario, before), (_, after) in zip(decided(policy), decided(later), strict=True):
        changed = before.effects != after.effects
        assert changed == any(w in scenario["title"] for w in ("初审", "提醒", "康复"))


EDGES = """
rules:
  - id: edges
    title: 核验身份证号首尾
    reason: 试验
    owner: ga
    author: a
    approver: b
    expires: 2027-01-01
    relax: {datasets: [ga.resident_base], items: [id_no], departments: [grid], at_least: edges}
"""


@pytest.mark.parametrize(
    ("first", "then", "comes_out"),
    [
        ("", "id_no sex division_code", "edges keep keep"),
        ("", "id_no sex division_code birth_date", "pseudonym keep town year"),
        ("", "id_no division_code", "pseudonym town"),
        ("id_no sex division_code", "birth_date name", "decade surname"),
        ("birth_date name", "id_no sex division_code", "pseudonym keep town"),
        ("sex name", "id_no sex division_code", "edges keep keep"),
    ],
)
def test_the_edges_of_a_number_never_meet_a_birth_date(
    tmp_path: Path, first: str, then: str, comes_out: str
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "edges.yaml").write_text(EDGES, "utf-8")
    policy = load_policy([POLICIES, tmp_path], CATALOG, TODAY)
    dataset = CATALOG.dataset("ga.resident_base")
    when = {"consumer": "grid_dongchangfu", "dataset": dataset.id, "scope": "371502"}
    held: list[tuple[Holding, Dataset]] = []
    for number, items in enumerate([first, then] if first else [then]):
        grant = grant_of(number, {**when, "items": items.split()})
        decision = decide(grant, tuple(held), dataset, policy)
        held.append((Holding(grant, decision.released), dataset))
    assert [decision.effects[name].name for name in then.split()] == comes_out.split()


def test_the_demo_asks_for_exactly_this_table() -> None:
    table = [(s["when"]["consumer"], s["when"]["dataset"]) for s in TABLE["scenarios"]]
    assert sorted(table) == sorted((one.consumer, one.dataset) for one in GRANTS)
    for scenario in TABLE["scenarios"]:
        when = scenario["when"]
        (one,) = [
            g for g in GRANTS if (g.consumer, g.dataset) == (when["consumer"], when["dataset"])
        ]
        assert one.scope == when["scope"] and bool(one.minors) == bool(when.get("minors"))
        assert set(one.items.split(",")) <= set(when["items"])
