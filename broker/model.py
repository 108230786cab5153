"""The nouns of the catalogue, as plain immutable data.

Law: nothing here reads a file, a clock or a setting. `catalog` and `divisions`
build these; everything else only reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Any

Schema = dict[str, Any]
"""An Avro schema in its JSON form."""


class Level(IntEnum):
    """Sensitivity 敏感级别 of an item, and equally the tier 准入等级 of a consumer."""

    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4


class Kind(StrEnum):
    """What an item is; each kind has one ladder of effects (`policy.effects`)."""

    CITIZEN_ID = "citizen_id"
    PERSON_NAME = "person_name"
    PHONE = "phone"
    ADDRESS = "address"
    DIVISION_CODE = "division_code"
    BIRTH_DATE = "birth_date"
    DATE = "date"
    DATE_TIME = "date_time"
    AMOUNT = "amount"
    IDENTIFIER = "identifier"
    CODE = "code"
    FLAG = "flag"
    COUNT = "count"
    FREE_TEXT = "free_text"
    PHOTO = "photo"
    BIOMETRIC = "biometric"


DIRECT_IDENTIFIERS = frozenset(
    {Kind.CITIZEN_ID, Kind.PERSON_NAME, Kind.PHONE, Kind.ADDRESS, Kind.IDENTIFIER}
)
"""Kinds that name a person by themselves (presence cap, predicates, joins)."""


class Sharing(StrEnum):
    """Sharing attribute 共享属性, 《政务数据共享条例》 article 14."""

    UNCONDITIONAL = "UNCONDITIONAL"
    CONDITIONAL = "CONDITIONAL"
    NOT_SHARED = "NOT_SHARED"


@dataclass(frozen=True, slots=True)
class Department:
    """A department 部门: `id` is the short code (`ga`), `title` its Chinese name."""

    id: str
    title: str
    title_en: str


@dataclass(frozen=True, slots=True)
class Item:
    """A data item 数据项: one field of a dataset.

    `avro` is the field's non-null Avro type (a name or a dict with logicalType);
    `required` says that a record without it is wrong; `embeds` names the items
    of the same dataset, or concepts, that a value of this item contains.
    """

    name: str
    title: str
    kind: Kind
    level: Level
    avro: str | Schema
    required: bool
    concept: str
    refers_to: str = ""
    embeds: tuple[str, ...] = ()

    @property
    def logical(self) -> str:
        """The logical type (`date`, `timestamp-millis`, `decimal`) or the plain type name."""
        if isinstance(self.avro, dict):
            return str(self.avro.get("logicalType", self.avro["type"]))
        return self.avro


@dataclass(frozen=True)
class Dataset:
    """A dataset 数据集: one catalogue entry, one Avro schema, one primary key.

    `id` is `<department>.<name>`; `scope_item` names the item that holds the
    division a record belongs to; `attributes` are those of article 13.
    """

    id: str
    department: str
    name: str
    title: str
    items: tuple[Item, ...]
    primary_key: tuple[str, ...]
    partitions: int
    presence: Level
    scope_item: str
    deletes: str
    sharing: Sharing
    sharing_citation: str
    attributes: Mapping[str, str]
    schema: Schema
    file: str = ""

    @cached_property
    def by_name(self) -> dict[str, Item]:
        """Items by name."""
        return {item.name: item for item in self.items}

    def of_kind(self, kind: Kind) -> tuple[Item, ...]:
        """The items of one kind, in schema order."""
        return tuple(item for item in self.items if item.kind is kind)

    def meant_by(self, part: str) -> tuple[Item, ...]:
        """The items of this dataset that a name in `embeds` means, by name or concept."""
        return tuple(
            item
            for item in self.items
            if part in (item.name, item.concept, item.concept.rpartition(".")[2])
        )

    def contained_in(self, item: Item) -> tuple[Item, ...]:
        """The items of this dataset that a value of the item contains, at any depth."""
        found: dict[str, Item] = {}
        waiting = list(item.embeds)
        while waiting:
            for inner in self.meant_by(waiting.pop()):
                if inner.name not in found and inner != item:
                    found[inner.name] = inner
                    waiting.extend(inner.embeds)
        return tuple(found.values())

    @property
    def collected_topic(self) -> str:
        """The collected topic 归集主题."""
        return f"collected.{self.id}"

    @property
    def quarantine_topic(self) -> str:
        """The quarantine topic; it has the partitions of the collected topic."""
        return f"quarantine.{self.id}"


@dataclass(frozen=True, slots=True)
class Scope:
    """A division chosen from the division table, cut to its tier's digits.

    `code` has exactly 2, 4, 6, 9 or 12 digits. A record belongs to the scope when
    its own division starts with `code`; null, unknown or coarser belongs to none.
    """

    code: str

    def holds(self, division: str) -> bool:
        """Whether a full 12-digit division code, known to the table, lies in this scope."""
        return division.startswith(self.code)


@dataclass(frozen=True, slots=True)
class Division:
    """One row of the division table; `tier` is province, city, county, town or village."""

    code: str
    name: str
    tier: str
