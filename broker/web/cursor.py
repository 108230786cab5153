"""Cursors: how far a consumer has read a share, in its own hands.

Law: a cursor is sealed and bound to its consumer; it says nothing to anybody else, opens
for nobody else, and cannot be made up. It is too old once deletions that it has not seen
may be forgotten.
"""

import base64
import binascii
import struct
from dataclasses import dataclass

from broker.errors import SealError
from broker.seal import Sealer
from broker.web.refusal import wrong_cursor

DAYS = 25
"""How long a reader may take to come to the end again: tombstones stay for 30 days."""

_BOUND_AS = "cursor"
_HEAD = struct.Struct(">QB")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next offset by partition of a share; `since` is when the reader began or was last
    at the end, in seconds since 1970 UTC."""

    share: str
    offsets: tuple[int, ...]
    since: int

    def too_old(self, now: float) -> bool:
        """Whether the copy that was read up to here can no longer be brought up to date."""
        return now - self.since > DAYS * 24 * 3600


class Cursors:
    """Writes and reads cursors."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def write(self, cursor: Cursor, consumer: str) -> str:
        """The cursor as the consumer keeps it: letters, digits, - and _."""
        body = _HEAD.pack(cursor.since, len(cursor.offsets))
        body += struct.pack(f">{len(cursor.offsets)}Q", *cursor.offsets) + cursor.share.encode()
        sealed = self._sealer.seal(_BOUND_AS, consumer.encode(), 0, body)
        return base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")

    def read(self, text: str, consumer: str) -> Cursor:
        """The cursor; `Refusal` for anything that was not written for this consumer."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            body = self._sealer.open(_BOUND_AS, consumer.encode(), sealed).body
        except (ValueError, binascii.Error, SealError):
            raise wrong_cursor() from None
        since, partitions = _HEAD.unpack_from(body)
        offsets = struct.unpack_from(f">{partitions}Q", body, _HEAD.size)
        return Cursor(body[_HEAD.size + 8 * partitions :].decode(), offsets, since)
