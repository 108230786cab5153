"""Keyed hashes: record keys and pseudonyms.

Law: nothing derived from a personal value leaves without a key (plain hashes of ID
numbers can be enumerated). HMAC-SHA256, from the standard library or, for many
at once, from `cryptography`.
"""

import base64
import hmac
from collections.abc import Iterable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


def keyed_hash(secret: bytes, data: bytes) -> bytes:
    """16 bytes that tell nothing about `data` without `secret`."""
    return hmac.digest(secret, data, "sha256")[:16]


class KeyedHash:
    """`keyed_hash` of many under one secret, which is hashed once: a copy of what stands then
    costs a third."""

    def __init__(self, secret: bytes) -> None:
        self._begun = HMAC(secret, SHA256())

    def __repr__(self) -> str:
        return "KeyedHash()"

    def all(self, data: Iterable[bytes]) -> list[bytes]:
        """The keyed hash of each."""
        copy = self._begun.copy
        found: list[bytes] = []
        for one in data:
            hashed = copy()
            hashed.update(one)
            found.append(hashed.finalize()[:16])
        return found


class Pseudonyms:
    """The pseudonyms of one domain (requesting department × purpose × dataset)."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def of(self, value: str) -> str:
        """26 characters of lower-case base32: the same value, the same pseudonym."""
        digest = keyed_hash(self.secret, value.encode())
        return base64.b32encode(digest).decode("ascii").rstrip("=").lower()
