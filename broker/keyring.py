"""The keyring: every secret of this broker, by name, in one file.

Law: readable by its owner alone (mode 0600, refused when wider); a new key is on disk
before it is used; a destroyed key does not come back. No key shows in a repr. Several
processes may use one keyring: a change is made under a lock, on what the file says then.
"""

import fcntl
import json
import os
import secrets
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.errors import KeyringError
from broker.private_file import open_private
from broker.unmoved import Identity, identity, replaced

_KEY_BYTES = 32


class Keyring:
    """Named 32-byte keys. Make with `Keyring.open`."""

    def __init__(self, path: Path, keys: dict[str, bytes]) -> None:
        self._path = path
        self._keys = keys
        self._lock = threading.Lock()
        self._identity: Identity | None = None

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys)"

    @classmethod
    def open(cls, path: Path) -> "Keyring":
        """Read the keyring, or make an empty one; `KeyringError` where it may not be trusted."""
        ring = cls(path, {})
        if not path.exists():
            with ring._locked():
                if not path.exists():
                    ring._save({})
        ring._keys = ring._read()
        return ring

    def key(self, name: str) -> bytes:
        """The key of that name."""
        if name not in self._keys:
            self._keys = self._read()
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
        self.ensure_all([name])
        return self._keys[name]

    def ensure_all(self, names: Iterable[str]) -> None:
        """Make those of the keys that are not there yet; all are durable together."""
        wanted = [name for name in names if name not in self._keys]
        if not wanted:
            return
        with self._locked():
            keys = self._read()
            missing = [name for name in wanted if name not in keys]
            keys.update((name, secrets.token_bytes(_KEY_BYTES)) for name in missing)
            if missing:
                self._save(keys)
            self._keys = keys

    def destroy(self, *names: str) -> None:
        """Remove keys for ever; a missing one is nothing."""
        with self._locked():
            keys = self._read()
            left = {name: key for name, key in keys.items() if name not in names}
            if len(left) < len(keys):
                self._save(left)
            self._keys = left

    def confirm(self) -> None:
        """`Replaced` where the file is gone, or is another keyring than the one that was read.

        Every change makes a new file: it is the same keyring as long as it still has one of
        our keys, and no key that was ours is another.
        """
        now = identity(self._path)
        if now is None:
            raise replaced(self._path, gone=True)
        if now != self._identity:
            self._read()

    def _read(self) -> dict[str, bytes]:
        """The keys in the file; `Replaced` where it is another keyring."""
        now = identity(self._path)
        keys, ours = _read(self._path), self._keys
        common = ours.keys() & keys.keys()
        if (ours and not common) or any(keys[name] != ours[name] for name in common):
            raise replaced(self._path, gone=False)
        self._identity = now
        return keys

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else, thread or process, changes the file meanwhile."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        handle = open_private(lock, os.O_WRONLY, KeyringError, "the keyring's lock")
        try:
            with self._lock:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
        finally:
            os.close(handle)

    def _save(self, keys: dict[str, bytes]) -> None:
        text = json.dumps({"keys": {name: key.hex() for name, key in keys.items()}}, indent=1)
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            flags = os.O_WRONLY | os.O_TRUNC
            handle = open_private(fresh, flags, KeyringError, "the keyring")
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
            raise _unwritable(self._path, error) from None


def _read(path: Path) -> dict[str, bytes]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_bytes()
    except OSError as error:
        raise KeyringError(
            f"the keyring cannot be read ({error.strerror})",
            where=str(path),
            mend="restore it from a backup, or mend the folder's rights",
        ) from None
    if mode & 0o077:
        raise KeyringError(
            f"the keyring can be read by others (mode {mode:04o})",
            where=str(path),
            mend=f"chmod 600 {path}, and ask who could read it until now",
        )
    try:
        keys = {name: bytes.fromhex(key) for name, key in json.loads(text)["keys"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyringError(
            "the keyring is damaged", where=str(path), mend="restore it from a backup"
        ) from None
    if any(len(key) != _KEY_BYTES for key in keys.values()):
        raise KeyringError(
            "a key has the wrong length", where=str(path), mend="restore it from a backup"
        )
    return keys


def _unwritable(path: Path, error: OSError) -> KeyringError:
    return KeyringError(
        f"the keyring cannot be written ({error.strerror})",
        where=str(path),
        mend="check the disk and the folder's rights",
    )
