"""Keyed hashes: record keys and pseudonyms.

Law: nothing derived from a personal value leaves without a key (plain hashes of ID
numbers can be enumerated). HMAC-SHA256, from the standard library.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable

_BLOCK = 64
"""Bytes of a block of SHA-256."""


def keyed_hash(secret: bytes, data: bytes) -> bytes:
    """16 bytes that tell nothing about `data` without `secret`."""
    return hmac.digest(secret, data, "sha256")[:16]


class KeyedHash:
    """`keyed_hash` of many under one secret, whose two blocks are hashed once (RFC 2104)."""

    def __init__(self, secret: bytes) -> None:
        block = secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()
        block = block.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(one ^ 0x36 for one in block))
        self._outer = hashlib.sha256(bytes(one ^ 0x5C for one in block))

    def __repr__(self) -> str:
        return "KeyedHash()"

    def all(self, data: Iterable[bytes]) -> list[bytes]:
        """The keyed hash of each."""
        inner, outer = self._inner.copy, self._outer.copy
        found: list[bytes] = []
        for one in data:
            first, second = inner(), outer()
            first.update(one)
            second.update(first.digest())
            found.append(second.digest()[:16])
        return found


class Pseudonyms:
    """The pseudonyms of one domain (requesting department × purpose × dataset)."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def of(self, value: str) -> str:
        """26 characters of lower-case base32: the same value, the same pseudonym."""
        digest = keyed_hash(self.secret, value.encode())
        return base64.b32encode(digest).decode("ascii").rstrip("=").lower()
