"""The fast transport: confluent-kafka, which is librdkafka.

Law: see `transport`. The text of a client's error is dropped: its code says enough (`refused`).
"""

import logging
from functools import partial

from broker.log.kafka.address import Address
from broker.log.kafka.librdkafka.membered import Membered
from broker.log.kafka.librdkafka.reading import Reading
from broker.log.kafka.librdkafka.writing import Writing
from broker.log.kafka.transport import Transport

_SILENT = logging.getLogger("broker.librdkafka")
"""What the library would print to the terminal: its errors are told as ours."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def librdkafka(address: Address) -> Transport:
    """The transport."""
    given = address.librdkafka() | {"logger": _SILENT}
    return Transport(partial(Reading, given), partial(Writing, given), partial(Membered, given))
