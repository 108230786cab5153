"""The catalogue: the six datasets, and what `check_catalog` refuses, with file and field."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.catalog import check_catalog, load_catalog
from broker.errors import CatalogError

SCHEMAS = Path(__file__).parents[2] / "schemas"


def test_the_six_datasets_load() -> None:
    assert check_catalog(SCHEMAS) == []
    catalog = load_catalog(SCHEMAS)
    assert sorted(catalog.datasets) == [
        "ga.residence_permit",
        "ga.resident_base",
        "mz.disability_subsidy",
        "mz.subsistence_allowance",
        "wj.family_doctor_contract",
        "wj.vaccination",
    ]
    for dataset in catalog.datasets.values():
        assert all(dataset.by_name[name].required for name in dataset.primary_key)


def field(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in record["fields"] if one["name"] == name)


Change = Callable[[dict[str, Any]], object]
BAD: list[tuple[str, Change, str, str]] = [
    ("unclassified", lambda r: field(r, "sex").pop("level"), "sex", "level is missing"),
    ("no title", lambda r: field(r, "sex").pop("title"), "sex", "title is missing"),
    ("blank title", lambda r: field(r, "sex").update(title=" "), "sex", "title is missing"),
    ("kind", lambda r: field(r, "sex").update(kind="gender"), "sex", "unknown kind"),
    ("level", lambda r: field(r, "sex").update(level="L5"), "sex", "unknown level"),
    ("too low", lambda r: field(r, "name").update(level="L2"), "name", "below what"),
    ("attribute", lambda r: r["catalogue"].pop("mode"), "catalogue.mode", "article 13"),
    ("citation", lambda r: r.update(sharing="NOT_SHARED"), "", "legal citation"),
    ("embeds", lambda r: field(r, "id_no").update(embeds=["x"]), "id_no", "undeclared"),
    ("embeds less", lambda r: field(r, "id_no").pop("embeds"), "id_no", "lacks"),
    ("refers", lambda r: field(r, "sex").update(refers_to="a.b.c"), "sex", "names no item"),
    ("key", lambda r: r.update(primary_key=["nobody"]), "nobody", "no item"),
    ("presence", lambda r: r.update(presence="L9"), "", "presence"),
]


@pytest.mark.parametrize(
    ("change", "place", "what"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
)
def test_what_is_wrong_is_named_with_file_and_field(
    tmp_path: Path, change: Change, place: str, what: str
) -> None:
    shutil.copytree(SCHEMAS, tmp_path / "schemas")
    file = tmp_path / "schemas" / "ga" / "resident_base.avsc"
    record = json.loads(file.read_text("utf-8"))
    change(record)
    file.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    findings = check_catalog(tmp_path / "schemas")
    assert any(
        f.file == "ga/resident_base.avsc" and f.field == place and what in f.what for f in findings
    ), findings
    with pytest.raises(CatalogError):
        load_catalog(tmp_path / "schemas")


def test_a_concept_collected_by_two_departments_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SCHEMAS, tmp_path / "schemas")
    file = tmp_path / "schemas" / "wj" / "vaccination.avsc"
    record = json.loads(file.read_text("utf-8"))
    field(record, "birth_date").pop("refers_to")
    file.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    (finding,) = check_catalog(tmp_path / "schemas")
    assert (finding.file, finding.field) == ("wj/vaccination.avsc", "birth_date")
    assert "already collected by ga.resident_base.birth_date" in finding.what


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SCHEMAS, tmp_path / "schemas")
    file = tmp_path / "schemas" / "ga" / "resident_base.avsc"
    file.write_text(file.read_text("utf-8").replace("{", '{"title": "x",', 1), encoding="utf-8")
    assert any("twice" in finding.what for finding in check_catalog(tmp_path / "schemas"))
