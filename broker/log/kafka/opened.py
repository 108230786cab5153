"""The log on Apache Kafka as the settings describe it.

Law: imported only where Kafka is the log: nobody else pays for its clients.
"""

from pathlib import Path

from broker.errors import SettingsError
from broker.log.kafka.address import Address
from broker.log.kafka.choose import transport
from broker.log.kafka.cluster import KafkaCluster
from broker.log.kafka.engine import KafkaLog


def kafka_log(
    servers: str, user: str, password: Path | None, authority: Path | None, name: str, folder: Path
) -> KafkaLog:
    """The log; `password` is the file that holds it, `name` the transport's."""
    address = address_of(servers, user, password, authority)
    return KafkaLog(address, folder, transport(name, address))


def kafka_cluster(
    servers: str, user: str, password: Path | None, authority: Path | None
) -> KafkaCluster:
    """What the cluster keeps beside the records; as `kafka_log`."""
    return KafkaCluster(address_of(servers, user, password, authority))


def address_of(servers: str, user: str, password: Path | None, authority: Path | None) -> Address:
    """Where the cluster is; `password` is the file that holds it."""
    try:
        secret = password.read_text("utf-8").strip() if password else ""
    except OSError:
        raise SettingsError(
            "the password cannot be read",
            where="setting kafka_password_file",
            mend="name a file that this user may read",
        ) from None
    return Address(servers, user, secret, authority)
