"""What was given to a connection and has not left this machine yet.

Law: what still waits here can be kept back. It waits in up to three places: above the
encryption, below it, and in the kernel (which is asked on Linux alone).
"""

import fcntl
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

_SIOCOUTQNSD = 0x894B
"""Linux: bytes in a socket's queue that were never sent."""

_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""


def unsent(transport: Any) -> int:
    """Bytes that a connection has not sent yet."""
    below = _below(transport)
    waiting = int(transport.get_write_buffer_size()) + _in_kernel(transport)
    return waiting if below is None else waiting + int(below.get_write_buffer_size())


def drop(transport: Any) -> None:
    """End a connection; what it has not sent is never sent, and the other side sees that."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


def _below(transport: Any) -> Any:
    """What carries the encrypted bytes of a TLS connection; asyncio has no public name for it."""
    return getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)


def _in_kernel(transport: Any) -> int:
    raw = transport.get_extra_info("socket")
    if sys.platform != "linux" or raw is None or raw.fileno() < 0:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(raw.fileno(), _SIOCOUTQNSD, bytes(4)), sys.byteorder)
    except OSError:  # not of TCP, or closed meanwhile
        return 0
