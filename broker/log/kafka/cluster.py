"""Users, rights and topics' settings of a cluster, through kafka-python.

Law: a right counts as taken when every live broker, asked by itself, no longer has it: each
decides by its own copy of the cluster's metadata. No user is ever removed: a broker of Kafka
4.3.1 that starts and meets, since its last snapshot of the metadata, a user removed leaves out
every user that it would have loaded after that one.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError
from kafka.protocol.admin import DescribeAclsRequest

from broker.errors import LogError
from broker.log.cluster import Right, TopicAsSet
from broker.log.kafka.address import Address
from broker.log.kafka.admin import Admin, ask, ours
from broker.log.kafka.barrier import answer_fetches

_USER = "User:"
_EVERY = ACLFilter(
    None, None, ACLOperation.ANY, ACLPermissionType.ALLOW,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)  # fmt: skip
_PATTERNS = {
    False: ACLResourcePatternType.LITERAL,
    True: ACLResourcePatternType.PREFIXED,
}


class KafkaCluster:
    """A `Cluster` on Apache Kafka."""

    def __init__(self, address: Address) -> None:
        address.check()
        self._own = address.user
        self._address = address
        self._admin = Admin(address)
        self._lock = threading.RLock()

    # ---- users

    def users(self) -> set[str]:
        """See `Cluster`."""
        return set(self._asked(lambda client: client.describe_user_scram_credentials()))

    def put_user(self, name: str, password: str) -> None:
        """See `Cluster`."""
        change = UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password.encode())
        refused = self._asked(lambda client: client.alter_user_scram_credentials([change]))
        if any(refused.values()):
            raise LogError(
                "Kafka does not change the user", where=name, mend="`shuqiao topics check`"
            )

    # ---- rights

    def rights(self) -> set[Right]:
        """See `Cluster`."""
        found, _ = self._asked(lambda client: client.describe_acls(_EVERY))
        return self._others(found)

    def give(self, rights: Collection[Right]) -> None:
        """See `Cluster`."""
        if not rights:
            return
        wanted = [_rule(ACL, ResourcePattern, one) for one in rights]
        if self._asked(lambda client: client.create_acls(wanted))["failed"]:
            raise _refused()

    def take(self, rights: Collection[Right]) -> None:
        """See `Cluster`."""
        if not rights:
            return
        wanted = [_rule(ACLFilter, ResourcePatternFilter, one) for one in rights]
        done = self._asked(lambda client: client.delete_acls(wanted))
        if any(error.errno for _, _, error in done):
            raise _refused()

    def unconfirmed(self, rights: Collection[Right]) -> list[str]:
        """See `Cluster`."""
        if not rights:
            return []
        brokers = self._asked(lambda client: client.describe_cluster())["brokers"]
        live = [one["broker_id"] for one in brokers if not one.get("is_fenced")]
        return [f"broker {one}" for one in live if self._holds(one, set(rights))]

    def answer_fetches(self, topics: Collection[str]) -> list[str]:
        """See `Cluster`."""
        return list(self._asked(lambda client: answer_fetches(self._address, client, topics)))

    def _holds(self, broker: int, rights: set[Right]) -> bool:
        """Whether that broker still has one of the rights, or does not say."""
        try:
            answer = self._asked(lambda client: ask(client, _describe(), broker))
            found, _ = self._asked(
                lambda client: client._convert_describe_acls_response_to_acls(answer)
            )
        except LogError:
            return True
        return bool(self._others(found) & rights)

    def _others(self, found: Collection[ACL]) -> set[Right]:
        return {right for right in map(_right, found) if right.user != self._own}

    # ---- topics

    def topics_as_set(self) -> dict[str, TopicAsSet]:
        """See `Cluster`."""
        described = self._asked(lambda client: client.describe_topics())
        topics = [one for one in described if not one.get("is_internal") and not one["error_code"]]
        asked = [ConfigResource(ConfigResourceType.TOPIC, one["name"]) for one in topics]
        known = self._asked(lambda client: client.describe_configs(asked)) if asked else {}
        values = known.get("topic", {})
        return {
            one["name"]: TopicAsSet(
                len(one["partitions"]),
                min((len(each["replica_nodes"]) for each in one["partitions"]), default=0),
                {name: str(set_["value"]) for name, set_ in values.get(one["name"], {}).items()},
            )
            for one in topics
        }

    def should_be_set(self) -> TopicAsSet:
        """See `Cluster`."""
        with self._lock:
            copies, settings = self._admin.layout()
        return TopicAsSet(0, copies, settings)

    def set_topic(self, name: str, settings: Mapping[str, str]) -> None:
        """See `Cluster`."""
        wanted = ConfigResource(ConfigResourceType.TOPIC, name, dict(settings))
        self._asked(lambda client: client.alter_configs([wanted]))

    # ---- itself

    def close(self) -> None:
        """Give back connections."""
        self._admin.close()

    def _asked(self, call: Callable[[Any], Any]) -> Any:
        try:
            with self._lock:
                return call(self._admin.client)
        except KafkaError as error:
            raise ours(error) from None


def _describe() -> DescribeAclsRequest:
    return DescribeAclsRequest(
        resource_type_filter=ResourceType.ANY,
        resource_name_filter=None,
        pattern_type_filter=ACLResourcePatternType.ANY,
        principal_filter=None,
        host_filter=None,
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ALLOW,
    )


def _right(rule: ACL) -> Right:
    pattern = rule.resource_pattern
    return Right(
        rule.principal.removeprefix(_USER),
        rule.operation.name.lower(),
        pattern.resource_type.name.lower(),
        pattern.resource_name,
        pattern.pattern_type is ACLResourcePatternType.PREFIXED,
        rule.host,
    )


def _rule(rule: Any, pattern: Any, right: Right) -> Any:
    """As the library wants to be told of a right; of a principal that is no user, its whole name
    is the user's."""
    principal = right.user if ":" in right.user else f"{_USER}{right.user}"
    return rule(
        principal,
        right.host,
        ACLOperation[right.does.upper()],
        ACLPermissionType.ALLOW,
        pattern(ResourceType[right.kind.upper()], right.name, _PATTERNS[right.prefixed]),
    )


def _refused() -> LogError:
    return LogError(
        "Kafka does not change rights for us",
        where="setting kafka_user",
        mend="the user needs ALTER on the cluster, and an authorizer must be set there",
    )
