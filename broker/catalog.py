"""The catalogue 政务数据目录: schema files → departments, datasets, items.

Law: classification lives in the schema file; what is not classified is refused, with
file and field. `check_catalog` lists every finding; `load_catalog` gives a catalogue
only where there is none.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.errors import CatalogError
from broker.model import Dataset, Department, Item, Kind, Level, Sharing

LOWEST: dict[Kind, Level] = {
    Kind.CITIZEN_ID: Level.L3,
    Kind.PERSON_NAME: Level.L3,
    Kind.PHONE: Level.L3,
    Kind.ADDRESS: Level.L3,
    Kind.BIRTH_DATE: Level.L3,
    Kind.IDENTIFIER: Level.L2,
    Kind.FREE_TEXT: Level.L4,
    Kind.PHOTO: Level.L4,
    Kind.BIOMETRIC: Level.L4,
}
"""The lowest level an item of a kind may have; L1 for the others."""

ATTRIBUTES = (
    "format",
    "update_frequency",
    "mode",
    "use_condition",
    "secrecy_statement",
    "impact_assessment",
    "approved_by",
)
"""Attributes of a catalogue entry, 《政务数据共享条例》 article 13, beside title, items,
provider, sharing attribute and levels, which stand elsewhere in the schema."""

DELETES = ("cdc", "soft_delete", "key_diff", "none")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: `file`, `field` (empty: the record), what it is, what to do."""

    file: str
    field: str
    what: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.field}" if self.field else self.file
        return f"{place}: {self.what} — {self.mend}"


@dataclass(frozen=True)
class Catalog:
    """Departments and datasets by id."""

    departments: dict[str, Department]
    datasets: dict[str, Dataset]

    def dataset(self, name: str) -> Dataset:
        """The dataset of that id."""
        try:
            return self.datasets[name]
        except KeyError:
            raise CatalogError(
                f"there is no dataset {name!r}", mend="`shuqiao catalog list` shows them"
            ) from None


def load_catalog(folder: Path) -> Catalog:
    """The catalogue of a schema folder; `CatalogError` with the first finding."""
    catalog, findings = _read(folder)
    if findings:
        first = findings[0]
        place = f"{first.file}: {first.field}" if first.field else first.file
        raise CatalogError(first.what, where=place, mend=first.mend)
    return catalog


def check_catalog(folder: Path) -> list[Finding]:
    """Everything that is wrong in a schema folder."""
    return _read(folder)[1]


class _Reader:
    """Reads one schema file, collecting findings."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.findings: list[Finding] = []

    def wrong(self, field: str, what: str, mend: str) -> None:
        self.findings.append(
            Finding(f"{self.file.parent.name}/{self.file.name}", field, what, mend)
        )

    def dataset(self) -> Dataset | None:
        try:
            schema = json.loads(self.file.read_text("utf-8"), object_pairs_hook=_unique)
        except (ValueError, UnicodeDecodeError):
            self.wrong("", "not valid JSON, or a key stands twice", "mend the file")
            return None
        department, name = self.file.parent.name, self.file.stem
        if schema.get("name") != name or schema.get("namespace") != f"shuqiao.{department}":
            self.wrong("", "name or namespace differ from folder and file", "make them equal")
        items = tuple(
            item for field in schema.get("fields", []) if (item := self._item(field)) is not None
        )
        self._record(schema, items)
        if self.findings:
            return None
        return Dataset(
            id=f"{department}.{name}",
            department=department,
            name=name,
            title=schema["title"],
            items=items,
            primary_key=tuple(schema["primary_key"]),
            partitions=schema["partitions"],
            presence=Level[schema["presence"]],
            scope_item=schema["scope_item"],
            deletes=schema["deletes"],
            sharing=Sharing(schema["sharing"]),
            sharing_citation=schema.get("sharing_citation", ""),
            attributes=schema["catalogue"],
            schema=_plain_schema(schema),
            file=str(self.file),
        )

    def _item(self, field: dict[str, Any]) -> Item | None:
        name = str(field.get("name", "?"))
        before = len(self.findings)
        for attribute in ("title", "kind", "level", "concept"):
            if not str(field.get(attribute) or "").strip():
                self.wrong(name, f"{attribute} is missing", f"classify the item: add {attribute}")
        kind, level = str(field.get("kind") or ""), str(field.get("level") or "")
        if kind and kind not in set(Kind):
            self.wrong(name, f"unknown kind {kind!r}", f"one of: {', '.join(Kind)}")
        if level and level not in Level.__members__:
            self.wrong(name, f"unknown level {level!r}", "one of: L1, L2, L3, L4")
        avro, required = _plain_type(field.get("type"))
        if avro is None:
            self.wrong(name, "unusable type", 'a plain type, or ["null", type] with default null')
        if len(self.findings) > before or avro is None:
            return None
        lowest = LOWEST.get(Kind(kind), Level.L1)
        if Level[level] < lowest:
            self.wrong(name, f"{level} is below what {kind} demands", f"at least {lowest.name}")
            return None
        return Item(
            name=name,
            title=field["title"],
            kind=Kind(kind),
            level=Level[level],
            avro=avro,
            required=required,
            concept=field["concept"],
            refers_to=field.get("refers_to", ""),
            embeds=tuple(field.get("embeds", ())),
        )

    def _record(self, schema: dict[str, Any], items: tuple[Item, ...]) -> None:
        for attribute in ("title", "primary_key", "partitions", "presence", "deletes"):
            if not str(schema.get(attribute) or "").strip():
                self.wrong("", f"{attribute} is missing", f"add {attribute} to the record")
        names = {item.name for item in items}
        for key in (*schema.get("primary_key", ()), schema.get("scope_item", "")):
            if key not in names:
                self.wrong(str(key), "named by the record, but no item", "name an item")
        if schema.get("presence") not in Level.__members__:
            self.wrong("", "presence is no level", "one of: L1, L2, L3, L4")
        if schema.get("deletes") not in DELETES:
            self.wrong("", "deletes is unknown", f"one of: {', '.join(DELETES)}")
        if schema.get("sharing") not in set(Sharing):
            self.wrong("", "sharing is unknown", f"one of: {', '.join(Sharing)}")
        if schema.get("sharing") == Sharing.NOT_SHARED and not schema.get("sharing_citation"):
            self.wrong("", "NOT_SHARED without its legal citation", "add sharing_citation")
        for attribute in ATTRIBUTES:
            if not schema.get("catalogue", {}).get(attribute):
                self.wrong(f"catalogue.{attribute}", "missing (article 13)", "add it")
        declared = names | {item.concept for item in items}
        for item in items:
            for part in item.embeds:
                if part not in declared and part not in EMBEDDED_CONCEPTS:
                    self.wrong(item.name, f"embeds {part!r}, which is undeclared", "declare it")
            missing = MUST_EMBED.get(item.concept, frozenset()) - set(item.embeds)
            if missing:
                self.wrong(item.name, f"embeds of {item.concept} lacks {sorted(missing)}", "add it")


EMBEDDED_CONCEPTS = frozenset({"birth_date", "sex", "division", "citizen_id"})
"""Concepts that a value may embed though the dataset has no item for them."""

MUST_EMBED: dict[str, frozenset[str]] = {
    "citizen_id": frozenset({"birth_date", "sex", "division"}),
    "disability_cert_no": frozenset({"id_no", "disability_type", "grade"}),
}
"""What a number is known to contain (GB 11643; the disability certificate number)."""


def _read(folder: Path) -> tuple[Catalog, list[Finding]]:
    departments = _departments(folder / "departments.json")
    datasets: dict[str, Dataset] = {}
    findings: list[Finding] = []
    for file in sorted(folder.glob("*/*.avsc")):
        reader = _Reader(file)
        dataset = reader.dataset()
        if file.parent.name not in departments:
            reader.wrong("", "unknown department", "add it to departments.json")
        findings.extend(reader.findings)
        if dataset is not None:
            datasets[dataset.id] = dataset
    findings.extend(_collected_twice(datasets))
    return Catalog(departments, datasets), findings


def _collected_twice(datasets: dict[str, Dataset]) -> list[Finding]:
    """Article 19: what sharing can supply is not collected again."""
    findings: list[Finding] = []
    sources: dict[str, str] = {}
    for dataset in datasets.values():
        for item in dataset.items:
            if not item.refers_to:
                sources.setdefault(item.concept, f"{dataset.department}:{dataset.id}.{item.name}")
    for dataset in datasets.values():
        file = f"{dataset.department}/{dataset.name}.avsc"
        for item in dataset.items:
            source = sources.get(item.concept, "")
            if item.refers_to:
                target = item.refers_to.rpartition(".")
                if target[0] not in datasets or target[2] not in datasets[target[0]].by_name:
                    findings.append(
                        Finding(file, item.name, "refers_to names no item", "name dataset.item")
                    )
            elif not source.startswith(f"{dataset.department}:"):
                findings.append(
                    Finding(
                        file,
                        item.name,
                        f"{item.concept} is already collected by {source.partition(':')[2]}",
                        "declare refers_to, or name another concept",
                    )
                )
    return findings


def _departments(file: Path) -> dict[str, Department]:
    content = json.loads(file.read_text("utf-8"), object_pairs_hook=_unique)
    return {
        key: Department(key, value["title"], value["title_en"]) for key, value in content.items()
    }


def _plain_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The Avro schema alone: classification is no part of a schema's identity."""
    fields = [
        {name: field[name] for name in ("name", "type", "default") if name in field}
        for field in schema["fields"]
    ]
    return {"type": "record", "name": schema["name"], "namespace": schema["namespace"],
            "fields": fields}  # fmt: skip


def _plain_type(avro: Any) -> tuple[Any, bool]:
    """(the non-null type, whether it is required); (None, False) where unusable."""
    if isinstance(avro, list):
        if len(avro) == 2 and avro[0] == "null" and isinstance(avro[1], (str, dict)):
            return avro[1], False
        return None, False
    return (avro, True) if isinstance(avro, (str, dict)) else (None, False)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
