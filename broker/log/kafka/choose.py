"""Which client carries the data."""

from broker.errors import SettingsError
from broker.log.kafka.address import Address
from broker.log.kafka.transport import Transport

TRANSPORTS = ("auto", "librdkafka", "kafka-python")


def transport(name: str, address: Address) -> Transport:
    """The transport of that name; `auto` is librdkafka where it is installed."""
    if name not in TRANSPORTS:
        raise SettingsError(
            f"there is no transport {name!r}",
            where="setting kafka_transport",
            mend=f"one of: {', '.join(TRANSPORTS)}",
        )
    if name != "kafka-python":
        try:
            from broker.log.kafka.librdkafka import librdkafka

            return librdkafka(address)
        except ImportError:
            if name == "librdkafka":
                raise SettingsError(
                    "confluent-kafka is not installed",
                    where="setting kafka_transport",
                    mend="install it, or choose kafka-python",
                ) from None
    from broker.log.kafka.pure import pure

    return pure(address)
