"""Names of topics and tables, and the partition of a key.

Law: a topic's name tells department, dataset and share, never a consumer or a person;
the partition is a function of the key alone, the same with every engine and transport.
"""

import zlib
from collections.abc import Iterable, Mapping

from broker.errors import LogError


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a collected key; the partition count is fixed for a dataset's life."""
    return zlib.crc32(key) % partitions


def partitions_of(keys: Iterable[bytes], partitions: int) -> list[int]:
    """The same of many."""
    return [zlib.crc32(key) % partitions for key in keys]


def must_match(known: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """`LogError` where a topic has another partition count than is wanted."""
    for name, partitions in wanted.items():
        if known[name] != partitions:
            raise LogError(
                f"topic {name} has {known[name]} partitions, not {partitions}",
                mend="a topic's partition count never changes",
            )


SHARED = "shared."
"""What the names of all shared topics start with."""

COLLECTED = "collected."
"""What the names of all collected topics start with."""

QUARANTINE = "quarantine."
"""What the names of all quarantine topics start with."""

TABLES = ("owners.", "membership.", "rejected.", "rows.", "sources.", "positions.", "table.")
"""What the names of tables, and of the positions, start with where they are topics."""

OURS = (SHARED, COLLECTED, QUARANTINE, *TABLES)
"""What the names of all topics of ours start with."""


def shared_topic(dataset: str, share: str) -> str:
    """The shared topic 共享主题 of a share."""
    return f"{SHARED}{dataset}.{share}"


def owners_table(dataset: str) -> str:
    """Owner, `updated_at` and row hash by collected key."""
    return f"owners.{dataset}"


def membership_table(dataset: str) -> str:
    """Interned set of shares by collected key."""
    return f"membership.{dataset}"


def share_sets_table(dataset: str) -> str:
    """The interned sets themselves."""
    return f"membership.{dataset}.sets"


def rejected_table(dataset: str) -> str:
    """Keyed hashes of source rows that are already in quarantine."""
    return f"rejected.{dataset}"


def rows_table(dataset: str) -> str:
    """The collected key that each row of a source had last, by a keyed hash of its row id."""
    return f"rows.{dataset}"


def sources_table(dataset: str) -> str:
    """The last run of each source of a dataset."""
    return f"sources.{dataset}"


SHARE_POSITIONS = "share."
"""What the names of all shares' positions start with; share and partition follow."""


def share_positions(share: str) -> str:
    """What the names of a share's positions start with; the partition's number follows."""
    return f"{SHARE_POSITIONS}{share}."


def shown_as(share: str) -> str:
    """The name under which the log's own tools are shown how far a share has come."""
    return f"shuqiao.share.{share}"


DOMAIN_MARKS = "domain."
"""What the names start with under which it is remembered that a domain has got its key."""


def domain_mark(domain: str) -> str:
    """The position that is there once a pseudonym domain has got its key."""
    return f"{DOMAIN_MARKS}{domain}"


COMMITS = "commit"
"""The position that an engine moves for itself, where a batch moves none."""

USERS = "users"
"""The position that says which consumers have a user on the cluster, and since when."""

EMERGENCIES = "emergencies"
"""The position that says which grants have ended without the store knowing yet."""

UNANSWERED = "unanswered"
"""The position that says at which topics fetches may wait whose right has ended."""


RELAYED = "relay."
"""What the names start with of the positions up to which partitions have been relayed."""


def relay_position(dataset: str, partition: int) -> str:
    """The position up to which a partition has been relayed."""
    return f"{RELAYED}{dataset}.{partition}"


def runner_position(dataset: str) -> str:
    """Which run may append to the dataset: taking it over ends the earlier one."""
    return f"runner.{dataset}"


def held_position(dataset: str, source: str) -> str:
    """Why a source is not read; not there where it is."""
    return f"held.{dataset}.{source}"
