"""Every refusal of the policy loader, with file and line."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from broker.policy.load import check_policy, load_policy
from tests.laws.records import CATALOG

POLICIES = Path(__file__).parents[2] / "policies"
TODAY = date(2026, 11, 23)
HEAD = "rules:\n  - id: x\n    title: t\n    reason: r\n    owner: mz\n"
SIGNED = "    author: a\n    approver: b\n    expires: 2027-01-01\n"


def errors(folder: Path) -> list[str]:
    return [str(error) for error in check_policy([POLICIES, folder], CATALOG, TODAY)]


def rules(tmp_path: Path, text: str | bytes) -> Path:
    (tmp_path / "rules").mkdir()
    file = tmp_path / "rules" / "x.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


def test_the_shipped_policy_is_in_order() -> None:
    policy = load_policy([POLICIES], CATALOG, TODAY)
    assert len(policy.guards) == 3 and len(policy.limits) >= 5 and len(policy.forbids) >= 2
    for rule in (*policy.limits, *policy.forbids, *policy.guards):
        assert rule.id and rule.title and rule.reason and rule.owner


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (HEAD + "    limit: {items: [nonsense], to: drop}\n", 6, "there is no item 'nonsense'"),
        (HEAD + "    limit: {datasets: [x.y], items: [name], to: drop}\n", 6, "no dataset 'x.y'"),
        (HEAD + "    limit: {kinds: [colour], to: drop}\n", 6, "unknown kind 'colour'"),
        (HEAD + "    limit: {items: [name], to: year}\n", 6, "person_name has no effect 'year'"),
        (HEAD + "    limit: {items: [name]}\n", 6, "to is missing"),
        (HEAD + "    limit: {items: [name], to: drop, rows: {}}\n", 6, "unknown word 'rows'"),
        (HEAD + "    limit: {departments: [zz], items: [name], to: drop}\n", 6, "no department"),
        (HEAD + "    limit: {consumers: [A.b], items: [name], to: drop}\n", 6, "cannot be a"),
        (HEAD + "    limit: {items: [], to: drop}\n", 6, "items is no list"),
        (HEAD + "    limit: {items: [1], to: drop}\n", 6, "no text"),
        (HEAD + "    limit:\n\t items: [name]\n", 7, "a tab"),
        (HEAD + "    owner: ga\n    limit: {items: [name], to: drop}\n", 6, "a key stands twice"),
        (HEAD + "    limit: {items: [name], to: drop}\n    forbid: {items: [name]}\n", 2, "one of"),
        (HEAD + "    forbid: {}\n", 6, "forbids everything"),
        (HEAD + "    forbid: {rows: {eq: {sex: '1'}}}\n", 6, "exactly one dataset"),
        (
            HEAD + "    forbid: {datasets: [ga.resident_base], rows: {eq: {id_no: '1'}}}\n",
            6,
            "may not read id_no",
        ),
        (
            HEAD + "    forbid: {datasets: [ga.resident_base], rows: {eq: {sex: 1}}}\n",
            6,
            "sex is a string",
        ),
        (HEAD + "    colour: red\n    limit: {items: [name], to: drop}\n", 6, "unknown word"),
        (HEAD + "    expires: 2027-01-01\n    limit: {items: [name], to: drop}\n", 6, "belongs to"),
        ("rules:\n  - id: x\n    title: t\n    owner: mz\n", 2, "reason is missing"),
        (HEAD + "    relax: {items: [overdue], at_least: keep}\n", 2, "author is missing"),
        (
            HEAD + SIGNED.replace("b\n", "a\n") + "    relax: {items: [overdue], at_least: keep}\n",
            2,
            "author and approver are the same",
        ),
        (
            HEAD + SIGNED.replace("2027-01-01", "soon") + "    relax: {items: [name], at_least: "
            "keep}\n",
            8,
            "expires is no date",
        ),
        (
            HEAD + SIGNED + "    relax: {items: [name], at_least: keep, presence: L3}\n",
            9,
            "either at_least or presence",
        ),
        (HEAD + SIGNED + "    relax: {presence: L9}\n", 9, "unknown level"),
        (HEAD + SIGNED + "    relax: {presence: L3, items: [name]}\n", 9, "not of items"),
        ("rules: 5\n", 1, "a list is expected"),
        ("other: []\n", 1, "unknown word 'other'"),
        ("", 1, "a mapping is expected"),
        (b"rules: \xff\xfe\n", 0, "not UTF-8"),
        ("rules: [\n", 2, "not valid YAML"),
    ],
)
def test_refused_with_file_and_line(
    tmp_path: Path, text: str | bytes, line: int, says: str
) -> None:
    found = errors(rules(tmp_path, text))
    assert len(found) == 1
    place = f"{tmp_path}/rules/x.yaml:{line}" if line else f"{tmp_path}/rules/x.yaml:"
    assert found[0].startswith(place), found[0]
    assert says in found[0] and " — " in found[0]


def test_an_id_twice_and_every_error_at_once(tmp_path: Path) -> None:
    rule = HEAD.removeprefix("rules:\n") + "    limit: {items: [name], to: drop}\n"
    found = errors(rules(tmp_path, "rules:\n" + rule + rule + rule.replace("drop", "far")))
    assert len(found) == 2
    assert "person_name has no effect 'far'" in found[0] and "used twice" in found[1]


def test_tiers_and_guards_stand_exactly_once(tmp_path: Path) -> None:
    shutil.copy(POLICIES / "tiers.yaml", tmp_path)
    (found,) = errors(tmp_path)
    assert "tiers.yaml stands 2 times" in found
    (tmp_path / "tiers.yaml").unlink()
    assert check_policy([tmp_path], CATALOG, TODAY)[0].what == "tiers.yaml stands 0 times, not once"


@pytest.mark.parametrize("mask", ["edges", "keep"])
def test_edges_is_no_tier_mask(tmp_path: Path, mask: str) -> None:
    for name in ("tiers.yaml", "guards.yaml"):
        shutil.copy(POLICIES / name, tmp_path)
    text = (tmp_path / "tiers.yaml").read_text("utf-8")
    text = text.replace("citizen_id: pseudonym", f"citizen_id: {mask}")
    (tmp_path / "tiers.yaml").write_text(text, "utf-8")
    (error,) = check_policy([tmp_path], CATALOG, TODAY)
    assert "is no tier mask" in error.what and error.where.endswith("tiers.yaml:4")


def test_the_version_tells_content_not_writing(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    shutil.copytree(POLICIES, folder)
    before = load_policy([folder], CATALOG, TODAY).version
    file = folder / "rules" / "mz.yaml"
    file.write_text("# another comment\n" + file.read_text("utf-8"), "utf-8")
    file.rename(folder / "rules" / "zz.yaml")
    assert load_policy([folder], CATALOG, TODAY).version == before
    text = (folder / "rules" / "zz.yaml").read_text("utf-8")
    (folder / "rules" / "zz.yaml").write_text(text.replace("to: band", "to: drop"), "utf-8")
    assert load_policy([folder], CATALOG, TODAY).version != before
