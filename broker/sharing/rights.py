"""What a consumer may do on the cluster, as rights.

Law: to read and describe its live shares, and to join and commit in groups of its own name;
nothing else. (Source: the interop decisions; a group's prefix keeps consumers out of ours.)
"""

from collections.abc import Collection, Iterable

from broker.log.cluster import Right
from broker.log.topics import OURS, SHARED

_OWN_NAMES = "shuqiao."
"""What the names of our groups and transactions start with; no consumer may have that id."""

_HARMLESS = frozenset({"describe", "describe_configs", "idempotent_write"})
"""What may be done to a whole cluster without reading or changing anything of ours."""


def rights_to(readers: Iterable[tuple[str, str]]) -> set[Right]:
    """What consumers need to read shared topics: of pairs of consumer and topic."""
    return {
        Right(user, does, "topic", topic)
        for user, topic in readers
        for does in ("read", "describe")
    }


def group_right(consumer: str) -> Right:
    """What a consumer needs to join and commit in groups of its own name."""
    return Right(consumer, "read", "group", f"{consumer}.", prefixed=True)


def reads_shared(right: Right) -> bool:
    """Whether it is about shared topics and nothing else: where none is due, it is taken."""
    return right.kind == "topic" and right.name.startswith(SHARED)


def touches_ours(right: Right, consumers: Collection[str]) -> bool:
    """Whether it is about anything of ours: our topics, our groups or the consumers', the whole
    cluster; or is a consumer's."""
    if right.user in consumers:
        return True
    if right.kind == "topic":
        return any(map(right.touches, OURS))
    if right.kind in ("group", "transactional_id"):
        return any(map(right.touches, (_OWN_NAMES, *(f"{name}." for name in consumers))))
    return right.kind == "cluster" and right.does not in _HARMLESS
