"""The keyring: every secret of this broker, by name, in one file.

Law: readable by its owner alone (mode 0600, refused when wider); a new key is on disk
before it is used; a destroyed key does not come back. No key shows in a repr.
"""

import json
import os
import secrets
import stat
import threading
from pathlib import Path

from broker.errors import KeyringError

_KEY_BYTES = 32


class Keyring:
    """Named 32-byte keys. Make with `Keyring.open`."""

    def __init__(self, path: Path, keys: dict[str, bytes]) -> None:
        self._path = path
        self._keys = keys
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys)"

    @classmethod
    def open(cls, path: Path) -> "Keyring":
        """Read the keyring, or make an empty one; `KeyringError` where it may not be trusted."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            ring = cls(path, {})
            ring._save({})
            return ring
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise KeyringError(
                f"the keyring can be read by others (mode {mode:04o})",
                where=str(path),
                mend=f"chmod 600 {path}, and ask who could read it until now",
            )
        try:
            content = json.loads(path.read_bytes())
            keys = {name: bytes.fromhex(text) for name, text in content["keys"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyringError(
                "the keyring is damaged", where=str(path), mend="restore it from a backup"
            ) from None
        if any(len(key) != _KEY_BYTES for key in keys.values()):
            raise KeyringError(
                "a key has the wrong length", where=str(path), mend="restore it from a backup"
            )
        return cls(path, keys)

    def key(self, name: str) -> bytes:
        """The key of that name."""
        try:
            return self._keys[name]
        except KeyError:
            raise KeyringError(
                f"the keyring lacks the key {name!r}",
                where=str(self._path),
                mend="restore the keyring that was in use when the records were written",
            ) from None

    def ensure(self, name: str) -> bytes:
        """The key of that name, made and durable on first use."""
        with self._lock:
            if name not in self._keys:
                keys = {**self._keys, name: secrets.token_bytes(_KEY_BYTES)}
                self._save(keys)
                self._keys = keys
            return self._keys[name]

    def destroy(self, name: str) -> None:
        """Remove a key for ever; a missing one is nothing."""
        with self._lock:
            keys = {other: key for other, key in self._keys.items() if other != name}
            self._save(keys)
            self._keys = keys

    def _save(self, keys: dict[str, bytes]) -> None:
        text = json.dumps({"keys": {name: key.hex() for name, key in keys.items()}}, indent=1)
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise KeyringError(
                f"the keyring cannot be written ({error.strerror})",
                where=str(self._path),
                mend="check the disk and the folder's rights",
            ) from None
