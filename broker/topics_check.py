"""What stands on the cluster, compared with what should: topics, settings, users, rights.

Law: it looks and changes nothing; `apply` mends what can be mended without losing a record. A
partition count and the number of copies are never changed here, and a share's lost topic is
never made anew: its records would be missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.catalog import Catalog
from broker.log.cluster import Cluster, Right, TopicAsSet
from broker.log.interface import Log
from broker.log.topics import OURS, SHARED
from broker.sharing.credentials import Credentials
from broker.sharing.given import Given
from broker.sharing.reading import Reading

_APPLY = "`shuqiao topics check --apply`"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be. `kind` is topic, setting, user or right; `name` is
    whose; `mend` says what to do, and `applied` whether `apply` does it."""

    kind: str
    name: str
    found: str
    wanted: str
    mend: str
    applied: bool = False


class TopicsCheck:
    """Compares and mends."""

    def __init__(
        self,
        cluster: Cluster,
        log: Log,
        catalog: Catalog,
        given: Given,
        credentials: Credentials,
        reading: Reading,
    ) -> None:
        self._cluster = cluster
        self._log = log
        self._catalog = catalog
        self._given = given
        self._credentials = credentials
        self._reading = reading

    def differences(self) -> list[Difference]:
        """Everything that is not as it should be."""
        return [*self._topics(), *self._users(), *self._rights()]

    def apply(self) -> list[Difference]:
        """Mend what can be mended; what is left."""
        for topic in self._left_over():
            self._log.delete_topic(topic)
        for name, wrong in self._wrong_settings():
            self._cluster.set_topic(name, wrong)
        self._reading.settle()
        self._cluster.take(self._strays())
        return self.differences()

    # ---- topics

    def _topics(self) -> Iterator[Difference]:
        there = self._ours()
        for name, partitions in self._wanted().items():
            found = there.get(name)
            if found is None:
                mend = "suspend and resume the grants that use it: they get another share"
                yield Difference("topic", name, "missing", f"{partitions} partitions", mend)
            elif found.partitions != partitions:
                mend = (
                    "a partition count is for life: stop its source, and collect it again into a "
                    "topic made with the right count"
                )
                yield Difference(
                    "topic", name, f"{found.partitions} partitions", f"{partitions}", mend
                )
        for name in self._left_over():
            yield Difference("topic", name, "belongs to no open share", "gone", _APPLY, True)
        copies = self._cluster.should_be_set().copies
        for name, found in there.items():
            if found.copies < copies:
                mend = "reassign its partitions with Kafka's own tools"
                yield Difference("topic", name, f"{found.copies} copies", f"{copies}", mend)
        for name, wrong in self._wrong_settings():
            for setting, value in wrong.items():
                found_value = there[name].settings.get(setting, "not set")
                yield Difference("setting", f"{name} {setting}", found_value, value, _APPLY, True)

    def _ours(self) -> dict[str, TopicAsSet]:
        found = self._cluster.topics_as_set()
        return {name: one for name, one in sorted(found.items()) if name.startswith(OURS)}

    def _wanted(self) -> dict[str, int]:
        """The partition counts of what must be there: each share's topic, and of the collected
        topics those that are."""
        there = self._log.topics()
        collected = {
            one.collected_topic: one.partitions
            for one in self._catalog.datasets.values()
            if one.collected_topic in there
        }
        shares = {
            topic: self._catalog.dataset(dataset).partitions
            for topic, dataset in self._given.live().items()
        }
        return collected | shares

    def _left_over(self) -> list[str]:
        shared = {name for name in self._log.topics() if name.startswith(SHARED)}
        return sorted(shared - self._given.open())

    def _wrong_settings(self) -> list[tuple[str, dict[str, str]]]:
        wanted = self._cluster.should_be_set().settings
        found = {
            name: {one: value for one, value in wanted.items() if topic.settings.get(one) != value}
            for name, topic in self._ours().items()
        }
        return [(name, wrong) for name, wrong in found.items() if wrong]

    # ---- users and rights

    def _users(self) -> Iterator[Difference]:
        for name in sorted(set(self._credentials.made()) - self._cluster.users()):
            mend = f"`shuqiao consumer credentials rotate {name}`"
            yield Difference("user", name, "missing", "there", mend)

    def _rights(self) -> Iterator[Difference]:
        missing = self._reading.wanted() - self._cluster.rights()
        for one in sorted(missing):
            yield Difference("right", one.user, "missing", described(one), _APPLY, True)
        for one in sorted(self._strays()):
            yield Difference("right", one.user, described(one), "nobody granted it", _APPLY, True)

    def _strays(self) -> set[Right]:
        return self._reading.strays(self._cluster.rights() - self._reading.wanted())


def described(right: Right) -> str:
    """A right in words: `read topic shared.…`."""
    name = f"{right.name}*" if right.prefixed else right.name
    where = "" if right.host == "*" else f" from {right.host}"
    return f"{right.does} {right.kind} {name}{where}"
