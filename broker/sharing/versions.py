"""Policy versions: which policy is in force.

Law: what is in force is a stored version, whole and immutable, never the files
themselves; files count once they are applied. The first use of an installation applies
its files as version 1. Applying the same content again is the same version.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from broker.catalog import Catalog
from broker.errors import PolicyError, StoreError
from broker.policy.load import load_policy
from broker.policy.model import Policy
from broker.store.engine import Store
from broker.store.revision import count_up
from broker.store.tables import policy_version as table

SHORT = 12
"""Characters of a digest that are shown."""

Content = list[dict[str, str]]
"""Folder by folder, file name → text."""


@dataclass(frozen=True, slots=True)
class Version:
    """A policy version; times are ISO 8601 in UTC."""

    number: int
    digest: str
    author: str
    approver: str
    reason: str
    applied_at: str


class Versions:
    """The stored versions, and the policy of the newest."""

    def __init__(
        self, store: Store, catalog: Catalog, folders: Callable[[], Sequence[Path]]
    ) -> None:
        """`folders` gives the policy files of this installation."""
        self._store = store
        self._catalog = catalog
        self._folders = folders
        self._loaded: dict[int, Policy] = {}

    def active(self, as_of: date) -> Policy:
        """The policy in force, on that day."""
        return self.policy(self.newest(as_of), as_of)

    def newest(self, as_of: date) -> int:
        """The number of the version in force, whether or not it can be loaded."""
        with self._store.reading() as connection:
            number = newest(connection)
        return number or self._first(as_of)

    def active_in(self, connection: Connection, as_of: date) -> Policy:
        """The same within a transaction of the caller's; a version must be there."""
        return self._policy_in(connection, newest(connection), as_of)

    def policy(self, number: int, as_of: date) -> Policy:
        """The policy of a version, on a day."""
        if number not in self._loaded:
            with self._store.reading() as connection:
                return self._policy_in(connection, number, as_of)
        return replace(self._loaded[number], as_of=as_of)

    def chosen(self, number: int, content: Content | None, as_of: date) -> Policy:
        """The policy of a content, of a version, or (0, None) the one in force."""
        if content is not None:
            return self._load(content, as_of)
        return self.policy(number, as_of) if number else self.active(as_of)

    def files(self, as_of: date) -> tuple[Content, Policy]:
        """The installation's files, checked; `PolicyError` where they are not in order."""
        folders = list(self._folders())
        content = read_content(folders)
        return content, _named(load_policy(folders, self._catalog, as_of), content)

    def content(self, number: int) -> Content:
        """What stands in a version."""
        with self._store.reading() as connection:
            return _content(connection, number)

    def all(self) -> list[Version]:
        """Every version, oldest first."""
        columns = [table.c[name] for name in Version.__slots__]
        with self._store.reading() as connection:
            rows = connection.execute(select(*columns).order_by(table.c.number)).mappings().all()
        return [Version(**row) for row in rows]

    def is_in_force(self, content: Content) -> bool:
        """Whether that is what the newest version says; what is first used, will be."""
        stored = self.all()
        return not stored or stored[-1].digest == digest_of(content)

    def put(
        self, connection: Connection, content: Content, author: str, approver: str, reason: str
    ) -> int:
        """Store a checked content as the next version, which is then in force; its number."""
        digest = digest_of(content)
        last = newest(connection)
        known = connection.execute(select(table.c.digest).where(table.c.number == last)).scalar()
        if known == digest:
            return last
        connection.execute(
            insert(table).values(
                number=last + 1,
                digest=digest,
                content=content,
                author=author,
                approver=approver,
                reason=reason,
                applied_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        )
        count_up(connection)
        return last + 1

    def _first(self, as_of: date) -> int:
        content, _ = self.files(as_of)
        with self._store.writing() as connection:
            return newest(connection) or self.put(connection, content, "installation", "", "")

    def _policy_in(self, connection: Connection, number: int, as_of: date) -> Policy:
        if number not in self._loaded:
            content = _content(connection, number)
            try:
                self._loaded[number] = self._load(content, as_of)
            except PolicyError as error:
                raise PolicyError(
                    f"{error.what}; it fitted the catalogue when it was applied",
                    where=f"policy version {number}, {error.where}",
                    mend="mend the rule files, then `shuqiao policy apply`: it takes two people",
                ) from None
        return replace(self._loaded[number], as_of=as_of)

    def _load(self, content: Content, as_of: date) -> Policy:
        try:
            with tempfile.TemporaryDirectory(prefix="shuqiao-policy-") as place:
                folders = write_content(content, Path(place))
                return _named(self._laid_out(folders, as_of), content)
        except OSError:
            raise StoreError(
                "a policy cannot be laid out in the folder of temporary files",
                where="TMPDIR",
                mend="free space there, or name another folder in TMPDIR",
            ) from None

    def _laid_out(self, folders: Sequence[Path], as_of: date) -> Policy:
        try:
            return load_policy(folders, self._catalog, as_of)
        except PolicyError as error:
            what, where, mend = (
                _without(folders, text) for text in (error.what, error.where, error.mend)
            )
            raise PolicyError(what, where=where, mend=mend) from None


def _named(policy: Policy, content: Content) -> Policy:
    """The policy by the digest of its content, as `shuqiao policy versions` shows it."""
    return replace(policy, version=digest_of(content)[:SHORT])


def newest(connection: Connection) -> int:
    """The number of the version in force; 0 where there is none yet."""
    return int(connection.execute(select(func.max(table.c.number))).scalar() or 0)


def digest_of(content: Content) -> str:
    """SHA-256 of a content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_content(folders: Sequence[Path]) -> Content:
    """The policy files of the folders."""
    found: Content = []
    for folder in folders:
        files = [*folder.glob("*.yaml"), *folder.glob("rules/*.yaml")]
        try:
            texts = {one.relative_to(folder).as_posix(): one.read_text("utf-8") for one in files}
        except (OSError, UnicodeDecodeError):
            raise PolicyError(
                "a policy file cannot be read", where=str(folder), mend="`shuqiao policy check`"
            ) from None
        found.append(dict(sorted(texts.items())))
    return found


def write_content(content: Content, place: Path) -> list[Path]:
    """Lay a content out as folders of files below `place`; the folders."""
    folders: list[Path] = []
    for number, files in enumerate(content):
        folder = place / str(number)
        (folder / "rules").mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
        folders.append(folder)
    return folders


def _without(folders: Sequence[Path], text: str) -> str:
    """The text with each file named as it is in its folder (an installation's own rules as
    `own`), for the folders are gone by then."""
    for number, folder in enumerate(folders):
        text = text.replace(f"{folder}/", "own " if number else "")
    return text


def _content(connection: Connection, number: int) -> Content:
    found: Any = connection.execute(
        select(table.c.content).where(table.c.number == number)
    ).scalar()
    if found is None:
        raise PolicyError(f"there is no policy version {number}", mend="`shuqiao policy versions`")
    return list(found)
