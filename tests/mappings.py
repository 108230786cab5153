"""The samples' mappings, changed: how deletes are seen, what a row is known by."""

import shutil
from pathlib import Path

from tests import city

RESIDENTS = "ga_resident_base"
EVERY_RUN = "compare_hours: 0.0000000001"


def change_mapping(folder: Path, mapping: str, *changes: tuple[str, str]) -> None:
    """Change a mapping's text; what is to be changed stands in it."""
    target = folder / "mappings" / f"{mapping}.yaml"
    text = target.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    target.write_text(text, "utf-8")


def use_key_diff(folder: Path, schema: str, mapping: str, *more: tuple[str, str]) -> Path:
    """Schemas and a mapping that see deletes by comparison; the schemas' folder."""
    schemas = folder / "schemas"
    if not schemas.exists():
        shutil.copytree(city.ROOT / "schemas", schemas)
    file = schemas / schema
    text = file.read_text("utf-8")
    for mode in ("soft_delete", "none"):
        text = text.replace(f'"deletes": "{mode}"', '"deletes": "key_diff"')
    file.write_text(text, "utf-8")
    city.use_mapping(folder, mapping)
    change_mapping(folder, mapping, *more)
    return schemas


def compare_residents(folder: Path, more: str, ignored: str = "bz, zxbz") -> Path:
    """Residents whose deletes are seen by comparison, with one more line in their source; the
    schemas' folder."""
    return use_key_diff(
        folder,
        "ga/resident_base.avsc",
        RESIDENTS,
        ("deletes: soft_delete", "deletes: key_diff"),
        ('soft_delete: {column: zxbz, values: ["1"]}\n', ""),
        ("ignore: [bz]", f"ignore: [{ignored}]"),
        ("  cursor: gxsj", f"  cursor: gxsj\n  {more}"),
    )


def give_row_ids(folder: Path) -> None:
    """Residents' rows are known by the column bz."""
    change_mapping(
        folder,
        RESIDENTS,
        ("  cursor: gxsj", "  cursor: gxsj\n  row_id: bz"),
        ("ignore: [bz]", "ignore: []"),
    )
