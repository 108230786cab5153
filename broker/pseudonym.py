"""Keyed hashes: record keys and pseudonyms.

Law: nothing derived from a personal value leaves without a key (plain hashes of ID
numbers can be enumerated). HMAC-SHA256, from the standard library.
"""

import base64
import hmac


def keyed_hash(secret: bytes, data: bytes) -> bytes:
    """16 bytes that tell nothing about `data` without `secret`."""
    return hmac.digest(secret, data, "sha256")[:16]


class Pseudonyms:
    """The pseudonyms of one domain (requesting department × purpose × dataset)."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def of(self, value: str) -> str:
        """26 characters of lower-case base32: the same value, the same pseudonym."""
        digest = keyed_hash(self.secret, value.encode())
        return base64.b32encode(digest).decode("ascii").rstrip("=").lower()
