"""A cluster that only remembers: users and rights, in memory."""

from collections.abc import Collection, Mapping

from broker.log.cluster import Right, TopicAsSet


class Remembers:
    """A `Cluster` without one. `deaf` are brokers that do not confirm; while it is `busy` no
    topic is certain to be answered."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.held: set[Right] = set()
        self.deaf: list[str] = []
        self.busy = False
        self.answered: list[str] = []
        self.calls: list[str] = []

    def users(self) -> set[str]:
        return {"shuqiao", *self.passwords}

    def put_user(self, name: str, password: str) -> None:
        self.passwords[name] = password

    def rights(self) -> set[Right]:
        return set(self.held)

    def give(self, rights: Collection[Right]) -> None:
        self.calls += ["give"] * bool(rights)
        self.held |= set(rights)

    def take(self, rights: Collection[Right]) -> None:
        self.calls += ["take"] * bool(rights)
        self.held -= set(rights)

    def unconfirmed(self, rights: Collection[Right]) -> list[str]:
        return list(self.deaf) if rights else []

    def answer_fetches(self, topics: Collection[str]) -> list[str]:
        self.calls += ["answer"] * bool(topics)
        self.answered += topics
        return list(topics) if self.busy else []

    def topics_as_set(self) -> dict[str, TopicAsSet]:
        return {}

    def should_be_set(self) -> TopicAsSet:
        return TopicAsSet(0, 1, {})

    def set_topic(self, name: str, settings: Mapping[str, str]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        return
