"""The consumers' users on the cluster, one each.

Law: a password is shown once and kept nowhere. Only a user that was made here is ever changed:
that is remembered in the log, so a consumer never takes over a user that the city had before.
"""

import secrets
from datetime import UTC, datetime

from broker.errors import GrantError, SettingsError
from broker.log import document
from broker.log.cluster import Cluster
from broker.log.interface import Log
from broker.log.topics import USERS

_BYTES = 24


class Credentials:
    """Makes and replaces them; `cluster` is None where the log is a file."""

    def __init__(self, cluster: Cluster | None, log: Log) -> None:
        self._cluster = cluster
        self._log = log

    def made(self) -> dict[str, str]:
        """When each user was made, by its consumer's id."""
        return document.read(self._log, USERS)

    def must_be_free(self, consumer: str) -> None:
        """`GrantError` where the cluster has a user of that name that was not made here."""
        if self._cluster is None or consumer in self.made():
            return
        if consumer in self._cluster.users():
            raise GrantError(
                f"the cluster has a user {consumer} already",
                mend="choose another id: what that user may do is not ours to change",
            )

    def rotate(self, consumer: str) -> str:
        """Give the consumer's user another password, making the user where there is none; the
        password. Who is connected with the old one is asked again within a minute."""
        if self._cluster is None:
            raise no_cluster("`shuqiao consumer key add` makes a key for HTTP")
        self.must_be_free(consumer)
        password, now = secrets.token_urlsafe(_BYTES), datetime.now(UTC)
        made = {consumer: now.isoformat(timespec="seconds")}
        document.change(self._log, USERS, lambda known: known.update(made))
        self._cluster.put_user(consumer, password)
        return password


def no_cluster(mend: str) -> SettingsError:
    """What is said where something is asked of a cluster and the log is a file."""
    return SettingsError(
        "the log is a file on this machine, not a Kafka cluster",
        where="setting kafka_servers",
        mend=mend,
    )
