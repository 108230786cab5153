"""The division table and its scopes."""

from pathlib import Path

import pytest

from broker.divisions import load_divisions
from broker.errors import CatalogError, GrantError

TABLE = Path(__file__).parents[2] / "schemas" / "divisions.csv"
DIVISIONS = load_divisions(TABLE)


def test_the_table_is_whole() -> None:
    tiers = [division.tier for division in DIVISIONS.all()]
    assert [tiers.count(t) for t in ("city", "county", "town", "village")] == [1, 8, 136, 2408]


def test_scopes_are_cut_by_tier_not_by_zeros() -> None:
    for division in DIVISIONS.all():
        scope = DIVISIONS.scope(division.code)
        assert len(scope.code) == {"city": 4, "county": 6, "town": 9, "village": 12}[division.tier]
        assert DIVISIONS.scope(scope.code) == scope
    assert sum(d.tier == "town" and d.code[8] == "0" for d in DIVISIONS.all()) == 10


@pytest.mark.parametrize("code", ["3715021", "990000", "371502999000", "", "37150200"])
def test_a_code_outside_the_table_is_no_scope(code: str) -> None:
    with pytest.raises(GrantError, match="not in the division table"):
        DIVISIONS.scope(code)


def test_the_path_goes_from_wide_to_narrow() -> None:
    names = [division.name for division in DIVISIONS.path("371502001001")]
    assert names == ["聊城市", "东昌府区", "古楼街道", "古城社区居委会"]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("3715,x,city", "12 digits"),
        ("371500000000,x,planet", "unknown tier"),
        ("371502000000,x,city", "ends in zeros"),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path: Path, row: str, what: str) -> None:
    table = tmp_path / "divisions.csv"
    table.write_text(f"division_code,name,tier\n{row}\n", encoding="utf-8")
    with pytest.raises(CatalogError, match=rf"divisions.csv:2: .*{what}"):
        load_divisions(table)
