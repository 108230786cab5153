"""Every refusal of the policy loader, with file and line."""

import random
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from broker.errors import PolicyError
from broker.model import Kind
from broker.policy.load import check_policy, load_policy
from broker.policy.model import Effect
from broker.policy.node import Node
from broker.policy.rules import RuleReader
from tests.laws.records import CATALOG

POLICIES = Path(__file__).parents[2] / "policies"
TODAY = date(2026, 11, 23)
HEAD = "rules:\n  - id: x\n    title: t\n    reason: r\n    owner: mz\n"
SIGNED = "    author: a\n    approver: b\n    expires: 2027-01-01\n"
OVERDUE = "datasets: [wj.vaccination], items: [overdue]"
BASE = "datasets: [ga.resident_base]"
GUARD = "guards:\n  - id: x\n    title: t\n    reason: r\n    owner: mz\n"
WHEN = "    when: [{is: edges, kinds: [citizen_id]}]\n"
DEGRADE = "    degrade: {birth_date: year}\n"


def errors(folder: Path) -> list[str]:
    return [str(error) for error in check_policy([POLICIES, folder], CATALOG, TODAY)]


def rules(tmp_path: Path, text: str | bytes) -> Path:
    (tmp_path / "rules").mkdir()
    file = tmp_path / "rules" / "x.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


def shipped(tmp_path: Path) -> Path:
    return Path(shutil.copytree(POLICIES, tmp_path / "policies"))


def test_the_shipped_policy_is_in_order() -> None:
    assert check_policy([POLICIES], CATALOG, TODAY) == []
    policy = load_policy([POLICIES], CATALOG, TODAY)
    assert len(policy.guards) == 3 and len(policy.limits) >= 5 and len(policy.forbids) >= 2
    assert policy.relaxes == () and len(policy.version) == 12
    assert set(policy.tier_mask) == set(Kind)
    for rule in (*policy.limits, *policy.forbids, *policy.guards):
        assert rule.id and rule.title and rule.reason and rule.owner
        assert any("一" <= letter <= "鿿" for letter in rule.title)


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("limit: {items: [nonsense], to: drop}", 6, "there is no item 'nonsense'"),
        ("limit: {datasets: [x.y], items: [name], to: drop}", 6, "no dataset 'x.y'"),
        (f"limit: {{{BASE}, items: [phone], to: drop}}", 6, "there is no item 'phone'"),
        ("limit:\n      items:\n        - name\n        - bad\n      to: drop", 9, "item 'bad'"),
        ("limit: {kinds: [colour], to: drop}", 6, "unknown kind 'colour'"),
        ("limit:\n      kinds:\n        - photo\n        - x\n      to: drop", 9, "kind 'x'"),
        ("limit: {departments: [zz], items: [name], to: drop}", 6, "no department 'zz'"),
        ("limit: {except_departments: [zz], items: [name], to: drop}", 6, "no department 'zz'"),
        ("limit: {consumers: [A.b], items: [name], to: drop}", 6, "cannot be a consumer's id"),
        ("limit: {consumers: [shuqiao], items: [name], to: drop}", 6, "cannot be a consumer's"),
        ("limit: {items: [name], to: year}", 6, "person_name has no effect 'year'"),
        ("limit: {items: [name, sex], to: surname}", 6, "code has no effect 'surname'"),
        ("limit: {kinds: [photo], to: band}", 6, "photo has no effect 'band'"),
        ("limit: {items: [name]}", 6, "to is missing"),
        ("limit: {items: [name], to: }", 6, "to is empty"),
        ("limit: {items: [name], to: 5}", 6, "to is no text"),
        ("limit: {items: [id_no], to: edges}", 6, "a limit to edges"),
        ("limit: {items: [cert_no], to: tail4}", 6, "a limit to tail4"),
        ("limit: {items: [name], to: drop, rows: {}}", 6, "a limit carries no rows"),
        ("limit: {items: [name], to: drop, then: x}", 6, "unknown word 'then'"),
        ("limit: {items: [], to: drop}", 6, "items is no list"),
        ("limit: {items: {name: 1}, to: drop}", 6, "items is no list"),
        ("limit: {items: [1], to: drop}", 6, "no text"),
        ("limit: {items: [name], kinds: [code], to: drop}", 6, "of no kind that the rule names"),
        (
            "limit: {datasets: [ga.resident_base, mz.disability_subsidy], items: [sex], to: drop}",
            6,
            "of mz.disability_subsidy the rule covers no item",
        ),
        ("limit: []", 6, "a mapping is expected"),
        ("limit:", 6, "limit is empty"),
        ("limit:\n\t items: [name]", 7, "a tab"),
        ("owner: ga\n    limit: {items: [name], to: drop}", 6, "a key stands twice"),
        ("limit: {items: [name], to: drop}\n    forbid: {items: [name]}", 2, "exactly one of"),
        ("colour: red\n    limit: {items: [name], to: drop}", 6, "unknown word 'colour'"),
        ("expires: 2027-01-01\n    limit: {items: [name], to: drop}", 6, "belongs to a relax"),
        ("forbid: {}", 6, "forbids everything"),
        ("forbid: {rows: {eq: {sex: '1'}}}", 6, "exactly one dataset"),
        (
            "forbid: {datasets: [ga.resident_base, wj.vaccination], rows: {is_null: name}}",
            6,
            "exactly one dataset",
        ),
        (f"forbid: {{{BASE}, rows: {{eq: {{id_no: '1'}}}}}}", 6, "may not read id_no"),
        (f"forbid: {{{BASE}, rows: {{eq: {{sex: 1}}}}}}", 6, "sex is a string"),
        (f"forbid: {{{BASE}, rows: {{like: {{sex: '1'}}}}}}", 6, "unknown operator 'like'"),
        (f"forbid: {{{BASE}, rows: {'{not: ' * 40}1{'}' * 40}}}", 6, "nested too deep"),
        (f"forbid: {{{BASE}, rows: {{age_under: 0}}}}", 6, "number of years"),
        ("limit: {items: [name], to: keep}", 6, "limits nothing"),
        (f"limit: {{{BASE}, kinds: [phone], to: drop}}", 6, "covers no item"),
        (f"limit: {{{BASE}, kinds: [code, phone], to: drop}}", 6, "covers no phone"),
        (
            "limit: {items: [name], departments: [mz], except_departments: [mz], to: drop}",
            6,
            "about no department",
        ),
        (
            "limit: {items: [name], except_departments: [ga, mz, wj, grid, town, fixture], "
            "to: drop}",
            6,
            "about no department",
        ),
        ("limit: {items: [name], purposes: [' '], to: drop}", 6, "no text"),
        ("limit: {<<: {to: surname}, items: [name], to: drop}", 6, "a merge key"),
        ("limit: {items: &a [name], to: drop}", 6, "an anchor or alias"),
        ("limit: !x {items: [name], to: drop}", 6, "a tag"),
        ("limit: !!omap [to: drop]", 6, "a tag"),
        ("!!str limit: {items: [name], to: drop}", 6, "a tag"),
    ],
)
def test_a_rule_is_refused_with_file_and_line(
    tmp_path: Path, body: str, line: int, says: str
) -> None:
    found = errors(rules(tmp_path, f"{HEAD}    {body}\n"))
    assert len(found) == 1, found
    assert found[0].startswith(f"{tmp_path}/rules/x.yaml:{line}: "), found[0]
    assert says in found[0] and " — " in found[0]


@pytest.mark.parametrize(
    ("signed", "body", "line", "says"),
    [
        (SIGNED.replace("    author: a\n", ""), "at_least: keep", 2, "author is missing"),
        (SIGNED.replace(": b\n", ": ''\n"), "at_least: keep", 7, "approver is no text"),
        (SIGNED.replace(": b\n", ": A\n"), "at_least: keep", 7, "approver are the same"),
        (SIGNED.replace("2027-01-01", "soon"), "at_least: keep", 8, "expires is no date"),
        (SIGNED.replace("2027-01-01", "2027-02-30"), "at_least: keep", 8, "no such day"),
        (SIGNED.replace("    expires: 2027-01-01\n", ""), "at_least: keep", 2, "expires is mis"),
        (SIGNED, "at_least: keep, presence: L3", 9, "either at_least or presence"),
        (SIGNED, "purposes: [p]", 9, "either at_least or presence"),
        (SIGNED, "at_least: year", 9, "flag has no effect 'year'"),
        (SIGNED, "at_least: keep, rows: {is_null: name}", 9, "a relax carries no rows"),
        (SIGNED, "presence: L3", 9, "not of items"),
        (SIGNED, "presence: L9", 9, "unknown level 'L9'"),
        (SIGNED, "presence: 3", 9, "presence is no text"),
        (SIGNED, "at_least: drop", 9, "relaxes nothing"),
        (SIGNED.replace(": b\n", ": a\u200b\n"), "at_least: keep", 7, "approver are the same"),
        (SIGNED.replace("2027-01-01", "2027-W01-1"), "at_least: keep", 8, "expires is no date"),
    ],
)
def test_a_relax_is_refused_with_file_and_line(
    tmp_path: Path, signed: str, body: str, line: int, says: str
) -> None:
    line -= 3 - signed.count("\n") if line == 9 else 0
    found = errors(rules(tmp_path, f"{HEAD}{signed}    relax: {{{OVERDUE}, {body}}}\n"))
    assert len(found) == 1, found
    assert found[0].startswith(f"{tmp_path}/rules/x.yaml:{line}: "), found[0]
    assert says in found[0] and " — " in found[0]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("items: [overdue], at_least: keep", "a relax of every dataset"),
        ("presence: L3", "a relax of every dataset"),
        ("datasets: [wj.vaccination], at_least: keep", "a relax of every item"),
        (
            "datasets: [wj.vaccination], items: [id_no], at_least: edges",
            "no item for something that edges of id_no shows",
        ),
        (
            "datasets: [mz.disability_subsidy], items: [disability_cert_no], at_least: tail4",
            "no item for something that tail4 of disability_cert_no shows",
        ),
    ],
)
def test_a_relax_that_is_too_wide_or_in_vain(tmp_path: Path, target: str, says: str) -> None:
    (found,) = errors(rules(tmp_path, f"{HEAD}{SIGNED}    relax: {{{target}}}\n"))
    assert found.startswith(f"{tmp_path}/rules/x.yaml:9: ") and says in found


def test_edges_and_tail4_by_a_relax_where_what_they_show_can_be_kept(tmp_path: Path) -> None:
    text = f"{HEAD}{SIGNED}    relax: {{{BASE}, items: [id_no], at_least: edges}}\n"
    text += text.removeprefix("rules:\n").replace("id: x", "id: y").replace(
        f"{BASE}, items: [id_no], at_least: edges",
        "datasets: [mz.subsistence_allowance], items: [cert_no], at_least: tail4",
    )  # fmt: skip
    policy = load_policy([POLICIES, rules(tmp_path, text)], CATALOG, TODAY)
    assert [str(one.effect) for one in policy.relaxes] == ["edges(first=6,last=4)", "tail4"]
    assert policy.relaxes[0].expires == date(2027, 1, 1)


def test_a_relax_that_does_not_compare_with_the_tier_mask() -> None:
    found: list[PolicyError] = []
    wide = Effect("partial", (("first", 1), ("last", 5)))
    signed = {"author": "a", "approver": "b", "expires": TODAY}
    body = {"datasets": ["wj.family_doctor_contract"], "items": ["phone"], "at_least": "partial"}
    head = {"id": "x", "title": "t", "reason": "r", "owner": "wj"}
    reader = RuleReader(CATALOG, {Kind.PHONE: wide}, found)
    assert reader.rule(Node({**head, **signed, "relax": body}, "f", 7)) is None
    assert [one.what for one in found] == [
        "partial(first=3,last=4) and the tier mask of phone do not compare"
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the file is empty"),
        ("# only words\n", 1, "the file is empty"),
        ("- a\n", 1, "a mapping is expected"),
        ("rules: 5\n", 1, "a list is expected"),
        ("rules:\n", 1, "rules is empty"),
        ("rules:\n  - 5\n", 2, "a mapping is expected"),
        ("rules: []\nother: []\n", 2, "unknown word 'other'"),
        ("rules: [\n", 2, "not valid YAML"),
        (b"rules:\n  - id: \xff\xfe\n", 2, "not UTF-8"),
        ("rules:\n  - id: a\x00b\n", 2, "a control character"),
        ("rules: !!timestamp never\n", 1, ""),
        ("rules: " + "[" * 500, 1, "not valid YAML"),
        ("rules: []\n---\nrules: []\n", 2, "not valid YAML"),
        ("rules: *nobody\n", 1, "an anchor or alias"),
    ],
)
def test_a_file_is_refused_with_file_and_line(
    tmp_path: Path, text: str | bytes, line: int, says: str
) -> None:
    found = errors(rules(tmp_path, text))
    assert len(found) == 1, found
    assert found[0].startswith(f"{tmp_path}/rules/x.yaml:{line}: "), found[0]
    assert says in found[0] and " — " in found[0]


@pytest.mark.parametrize(
    "name", ["rules/x.yml", "rules/x.YAML", "rules/deep/x.yaml", "rule.yaml", "tiers.yml"]
)
def test_nothing_that_looks_like_a_rule_is_passed_over(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("rules: []\n")
    (found,) = errors(tmp_path)
    place = file.parent if file.parent.name == "deep" else file
    assert found.startswith(f"{place}:1: this would not be read")


def test_an_owner_is_a_department_or_the_authority(tmp_path: Path) -> None:
    body = "    limit: {items: [name], to: drop}\n"
    (found,) = errors(rules(tmp_path, HEAD.replace("owner: mz", "owner: zzz") + body))
    assert found.startswith(f"{tmp_path}/rules/x.yaml:5: there is no owner 'zzz'")
    shutil.rmtree(tmp_path / "rules")
    assert not errors(rules(tmp_path, HEAD.replace("owner: mz", "owner: authority") + body))


def test_a_presence_level_is_relaxed_only_downwards(tmp_path: Path) -> None:
    body = "    relax: {datasets: [ga.resident_base], presence: L2}\n"
    (found,) = errors(rules(tmp_path, HEAD + SIGNED + body))
    assert "at L2 already" in found and "x.yaml:9" in found


def test_blanks_around_a_name_say_nothing(tmp_path: Path) -> None:
    body = "    limit: {items: [' name '], purposes: ['测试 '], to: drop}\n"
    folder = rules(tmp_path, HEAD + body)
    policy = load_policy([POLICIES, folder], CATALOG, TODAY)
    (limit,) = [one for one in policy.limits if one.id == "x"]
    assert limit.target.purposes == ("测试",) and limit.target.items == ("name",)


def test_a_folder_that_cannot_be_read_whole_is_no_policy(tmp_path: Path) -> None:
    folder = shipped(tmp_path)
    shutil.rmtree(folder / "rules")
    (error,) = check_policy([folder], CATALOG, TODAY)
    assert error.where == f"{folder}/rules:1" and error.mend
    (folder / "rules").touch()
    assert check_policy([folder], CATALOG, TODAY)[0].where == f"{folder}/rules:1"
    (folder / "rules").unlink()
    shutil.copytree(POLICIES / "rules", folder / "rules")
    assert check_policy([folder], CATALOG, TODAY) == []
    later = tmp_path / "later"
    later.mkdir()
    assert check_policy([folder, later], CATALOG, TODAY) == []
    for name in ("rule", "rules.bak"):
        (later / name).mkdir()
        (error,) = check_policy([folder, later], CATALOG, TODAY)
        assert error.where == f"{later}/{name}:1" and "would not be read" in error.what
        (later / name).rmdir()
    (tmp_path / "file").touch()
    assert check_policy([folder, tmp_path / "file"], CATALOG, TODAY)


def test_rules_that_may_not_be_listed_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shipped(tmp_path)
    listed = Path.iterdir

    def refused(self: Path) -> Iterator[Path]:
        if self.name == "rules":
            raise PermissionError
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert check_policy([folder], CATALOG, TODAY)


def test_every_error_of_a_rule_and_of_a_file_at_once(tmp_path: Path) -> None:
    text = (
        "rules:\n  - id: x\n    title: 5\n    colour: red\n    author: a\n"
        "    limit: {datasets: [x.y], departments: [zz], items: [name], to: far}\n"
        "  - id: x\n    title: t\n    reason: r\n    owner: ga\n"
        "    limit: {items: [name], to: far}\n"
    )
    found = errors(rules(tmp_path, text))
    wanted = [
        (7, "used twice"), (4, "colour"), (3, "title is no text"), (2, "reason is missing"),
        (2, "owner is missing"), (6, "x.y"), (6, "zz"), (5, "author belongs"), (11, "'far'"),
    ]  # fmt: skip
    assert len(found) == len(wanted), found
    for line, says in wanted:
        assert any(f"x.yaml:{line}: " in one and says in one for one in found), (line, says)
    with pytest.raises(PolicyError) as first:
        load_policy([POLICIES, tmp_path], CATALOG, TODAY)
    assert str(first.value) == found[0]


def test_an_id_is_used_once_among_all_files_and_guards(tmp_path: Path) -> None:
    text = HEAD.replace("id: x", "id: guard-hidden-person") + "    forbid: {items: [cause]}\n"
    (found,) = errors(rules(tmp_path, text))
    assert found.startswith(f"{tmp_path}/rules/x.yaml:2: the id guard-hidden-person is used twice")
    assert f"first at {POLICIES}/guards.yaml:" in found


def test_tiers_and_guards_stand_exactly_once_and_first(tmp_path: Path) -> None:
    rules_only = tmp_path / "state"
    rules_only.mkdir()
    for name in ("tiers.yaml", "guards.yaml"):
        assert check_policy([rules_only], CATALOG, TODAY)[0].where == f"{rules_only}/tiers.yaml:1"
        shutil.copy(POLICIES / name, rules_only)
        (found,) = errors(rules_only)
        assert found.startswith(f"{rules_only}/{name}:1: {name} stands 2 times, not once")
        (rules_only / name).unlink()
    folder = shipped(tmp_path)
    shutil.move(folder / "tiers.yaml", rules_only)
    (error,) = check_policy([folder, rules_only], CATALOG, TODAY)
    assert error.where == f"{rules_only}/tiers.yaml:1" and "later folder" in error.what
    assert check_policy([], CATALOG, TODAY)[0].what == "tiers.yaml stands 0 times, not once"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("citizen_id: pseudonym", "citizen_id: edges", 4, "edges is no tier mask"),
        ("citizen_id: pseudonym", "citizen_id: keep", 4, "keep is no tier mask"),
        ("identifier: pseudonym", "identifier: tail4", 13, "tail4 is no tier mask"),
        ("phone: partial", "phone: year", 6, "phone has no effect 'year'"),
        ("phone: partial", "telephone: partial\n  phone: partial", 6, "unknown kind"),
        ("  phone: partial\n", "", 4, "kinds without a tier mask: phone"),
        ("phone: partial", "phone: 1", 6, "phone is no text"),
    ],
)
def test_the_tier_table_is_refused_with_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    file = shipped(tmp_path) / "tiers.yaml"
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")
    (error,) = check_policy([file.parent], CATALOG, TODAY)
    assert says in error.what and error.where == f"{file}:{line}" and error.mend


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (GUARD + WHEN, 2, "degrade is missing"),
        (GUARD + DEGRADE, 2, "when is missing"),
        (GUARD + "    when: []\n" + DEGRADE, 6, "without a condition"),
        (GUARD + WHEN + "    degrade: {}\n", 7, "names no kind"),
        (GUARD + WHEN + "    degrade: {birth_date: town}\n", 7, "no effect 'town'"),
        (GUARD + WHEN + "    degrade: {citizen_id: edges}\n", 7, "does not degrade to edges"),
        (GUARD + WHEN.replace("is:", "was:") + DEGRADE, 6, "unknown word 'was'"),
        (GUARD + WHEN.replace("is: edges, ", "") + DEGRADE, 6, "exactly one test"),
        (GUARD + WHEN.replace("edges", "year") + DEGRADE, 6, "citizen_id has no effect 'year'"),
        (GUARD + WHEN.replace("kinds: [citizen_id]", "kinds: []") + DEGRADE, 6, "is no list"),
        (GUARD + WHEN.replace("]}]", "], where: far}]") + DEGRADE, 6, "unknown place 'far'"),
        (GUARD + WHEN.replace("is: edges", "hidden: no") + DEGRADE, 6, "hidden takes true"),
        (GUARD.replace("    owner: mz\n", "") + WHEN + DEGRADE, 2, "owner is missing"),
        (GUARD + "    rows: {}\n" + WHEN + DEGRADE, 6, "unknown word 'rows'"),
    ],
)
def test_a_guard_is_refused_with_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    file = shipped(tmp_path) / "guards.yaml"
    file.write_text(text, "utf-8")
    (error,) = check_policy([file.parent], CATALOG, TODAY)
    assert says in error.what and error.where == f"{file}:{line}" and error.mend


def test_the_version_tells_content_not_writing(tmp_path: Path) -> None:
    folder = shipped(tmp_path)
    before = load_policy([folder], CATALOG, TODAY).version
    file = folder / "rules" / "mz.yaml"
    text = file.read_text("utf-8")
    head, *found = text.split("\n  - id: ")
    assert len(found) > 1
    turned = "\n  - id: ".join([head, *(one.rstrip() + "\n" for one in reversed(found))])
    file.unlink()
    file = folder / "rules" / "zz.yaml"
    file.write_text("# another comment\n" + turned, "utf-8")
    assert load_policy([folder], CATALOG, TODAY).version == before
    wj = folder / "rules" / "wj.yaml"
    wj.write_text(wj.read_text("utf-8").replace("[package, key_group]", "[key_group, package]"))
    assert load_policy([folder], CATALOG, TODAY).version == before
    assert load_policy([folder], CATALOG, date(2027, 1, 1)).version == before
    file.write_text(text.replace("to: band", "to: drop"), "utf-8")
    assert load_policy([folder], CATALOG, TODAY).version != before
    file.write_text(text, "utf-8")
    tiers = folder / "tiers.yaml"
    tiers.write_text(tiers.read_text("utf-8").replace("phone: partial", "phone: drop"), "utf-8")
    assert load_policy([folder], CATALOG, TODAY).version != before


FRAGMENTS = (
    "!!bool x", "!!int ", '!!float ""', "!!set {a}", "!!omap [a]", "!!binary x", "!!timestamp x",
    "!!python/object:os.system", "&a", "*a", "<<: *a", "<<: 5", "? [a]", "? ", "- ", "{", "}", "[",
    "]", '"', "'", "|", ">", "%YAML 9", "---", "...", "null", "1e999", "0x", ".nan", "2027-13-01",
    "{a: b}: c", "\x85", "\u2028", "\x00", "@", "`", "12:30:45", "2027-01-01T99:99:99Z",
)  # fmt: skip


def test_a_broken_file_never_ends_in_anything_but_policy_errors(tmp_path: Path) -> None:
    draw, folder, refused = random.Random(7), shipped(tmp_path), 0
    files = sorted([*folder.glob("*.yaml"), *folder.glob("rules/*.yaml")])
    for _ in range(120):
        file = draw.choice(files)
        good = file.read_text("utf-8")
        lines = good.split("\n")
        at = draw.randrange(len(lines))
        word = re.match(r"\s*(?:- )?\w+: ?", lines[at])
        lines[at] = (word[0] if word else "") + draw.choice(FRAGMENTS)
        file.write_text("\n".join(lines), "utf-8")
        for error in check_policy([folder], CATALOG, TODAY):
            assert re.fullmatch(r".*\.yaml:[1-9]\d*", error.where) and error.what and error.mend
            refused += 1
        file.write_text(good, "utf-8")
    assert refused > 60
