"""What the log says where a client or the cluster refuses."""

from broker.errors import LogError, UnknownTopic
from broker.log.kafka.transport import Fenced


def away() -> LogError:
    """The cluster does not answer."""
    return LogError("Kafka cannot be reached", mend="check that it runs, and `kafka_servers`")


def fenced() -> Fenced:
    """Somebody else has the work."""
    return Fenced("another writer has taken the work over")


def unknown() -> UnknownTopic:
    """There is nothing of that name."""
    return UnknownTopic("there is no such topic or partition")


def other(name: str) -> LogError:
    """Anything else, by the protocol's own name of it."""
    return LogError(f"Kafka refuses ({name})", mend="`shuqiao topics check`")
