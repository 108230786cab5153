"""Sealing: what rests in the log is encrypted and bound to its place.

Law: a sealed record opens only under the topic and key it was sealed for; the writer's
schema id stands in the envelope and is authenticated with them. AES-256-GCM with a
random 96-bit nonce (NIST SP 800-38D).

Envelope: version (1 byte) · schema id (4, big-endian) · nonce (12) · ciphertext and tag.
"""

import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.errors import KeyringError, PositionMoved, SealError
from broker.keyring import Keyring
from broker.log.interface import Batch, Log, PositionWrite

_VERSION = 1
_HEADER = struct.Struct(">BI")
_HEADER_SIZE = _HEADER.size
_NONCE = 12
_TAG = 16
_KEY = "seal"
PROOF = "keyring"
"""Position that holds an empty text sealed with the key of this log."""


class Opened(NamedTuple):
    """An opened record: the writer's schema id and the Avro body."""

    schema_id: int
    body: bytes


class Sealer:
    """Seals and opens with the keyring's sealing key."""

    def __init__(self, keyring: Keyring) -> None:
        self._aead = AESGCM(keyring.key(_KEY))

    def __repr__(self) -> str:
        return "Sealer()"

    def seal(self, topic: str, key: bytes, schema_id: int, body: bytes) -> bytes:
        """The envelope of `body` for this topic and key."""
        header = _HEADER.pack(_VERSION, schema_id)
        nonce = os.urandom(_NONCE)
        return header + nonce + self._aead.encrypt(nonce, body, _bound(header, topic, key))

    def seal_all(
        self, topic: str, keys: Sequence[bytes], schema_id: int, bodies: Sequence[bytes]
    ) -> list[bytes]:
        """The envelope of each body, for this topic and its own key."""
        header = _HEADER.pack(_VERSION, schema_id)
        bound, encrypt = _bound(header, topic, b""), self._aead.encrypt
        nonces, start = os.urandom(_NONCE * len(keys)), 0
        found: list[bytes] = []
        for key, body in zip(keys, bodies, strict=True):
            nonce = nonces[start : start + _NONCE]
            start += _NONCE
            found.append(header + nonce + encrypt(nonce, body, bound + key))
        return found

    def open(self, topic: str, key: bytes, sealed: bytes) -> Opened:
        """What was sealed for this topic and key; `SealError` for anything else."""
        start = _HEADER.size + _NONCE
        if len(sealed) < start + _TAG or sealed[0] != _VERSION:
            raise _unopened(topic)
        header, nonce = sealed[: _HEADER.size], sealed[_HEADER.size : start]
        try:
            body = self._aead.decrypt(nonce, sealed[start:], _bound(header, topic, key))
        except InvalidTag:
            raise _unopened(topic) from None
        return Opened(_HEADER.unpack(header)[1], body)

    def open_all(
        self, topic: str, keys: Sequence[bytes], values: Sequence[bytes | None]
    ) -> tuple[dict[int, tuple[list[int], list[bytes]]], list[int]]:
        """By writer's schema id: the numbers of the records that were sealed for this topic, and
        their bodies; and the numbers of all others: tombstones, and what cannot be opened."""
        found: dict[int, tuple[list[int], list[bytes]]] = {}
        left: list[int] = []
        known, bound = b"", b""
        decrypt, start = self._aead.decrypt, _HEADER_SIZE + _NONCE
        numbers, bodies = list[int](), list[bytes]()
        for number, sealed in enumerate(values):
            if sealed is None or len(sealed) < start + _TAG or sealed[0] != _VERSION:
                left.append(number)
                continue
            header = sealed[:_HEADER_SIZE]
            if header != known:
                known, bound = header, _bound(header, topic, b"")
                numbers, bodies = found.setdefault(_HEADER.unpack(header)[1], ([], []))
            try:
                bodies.append(
                    decrypt(sealed[_HEADER_SIZE:start], sealed[start:], bound + keys[number])
                )
                numbers.append(number)
            except InvalidTag:
                left.append(number)
        return found, left


def open_sealer(keyring: Keyring, log: Log) -> Sealer:
    """The sealer of a log. The sealing key is made with the log and never again; a keyring
    that is not the one the log was written with is refused before anything is read."""
    proof = log.position(PROOF)
    if proof is None:
        keyring.ensure(_KEY)
        sealer = Sealer(keyring)
        fresh = sealer.seal(PROOF, b"", 0, b"")
        try:
            log.commit(Batch(positions=[PositionWrite(PROOF, None, fresh)]))
        except PositionMoved:
            return open_sealer(keyring, log)
        return sealer
    sealer = Sealer(keyring)
    try:
        sealer.open(PROOF, b"", proof)
    except SealError:
        raise KeyringError(
            "the keyring is not the one that this log was written with",
            mend="restore the keyring that belongs to the log; nothing was read",
        ) from None
    return sealer


def _bound(header: bytes, topic: str, key: bytes) -> bytes:
    name = topic.encode()
    return header + len(name).to_bytes(2, "big") + name + key


def _unopened(topic: str) -> SealError:
    return SealError(
        "a sealed record cannot be opened",
        where=topic,
        mend="check that the keyring is the one in use when it was written",
    )
