"""Every error ShuQiao raises on purpose.

Law: an error says what is wrong, where (file, line, cell, item) and what to do.
It never carries a value of a record, nor the text of a foreign exception
(database drivers print key values, pydantic prints its input).

    ShuQiaoError
    ├── Replaced           a file was deleted or replaced under this process, which ends
    ├── SettingsError      a setting cannot be used
    ├── StoreError         the control store cannot be used
    ├── RegistryError      a schema id or a frame is unknown, or a registry refuses
    │   └── RegistryAway   the registry elsewhere cannot be reached
    ├── CatalogError       a schema file, a department or the division table is wrong
    ├── PolicyError        a policy file does not load or does not type-check
    ├── GrantError         a consumer or a grant cannot be made as asked
    ├── KeyringError       the keyring is missing, too open, or lacks a key
    ├── SealError          a sealed record cannot be opened
    ├── RoutingError       a record's division is null or unknown
    ├── ProjectionError    a record cannot be projected for a share (carries the item)
    ├── MappingError       a mapping file is wrong
    ├── SourceError        a source stops: its run ends, nothing is lost
    └── LogError           the log refuses
        ├── PositionMoved  somebody else committed from this position; start again from it
        ├── UnknownTopic   no such topic or partition
        └── LogFull        no space left; what was acknowledged stands
"""


class ShuQiaoError(Exception):
    """What is wrong, where it is, and how to mend it."""

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} — {self.mend}" if self.mend else text


class Replaced(ShuQiaoError):
    """A file that this process works on was deleted, or put in another's place."""


class SettingsError(ShuQiaoError):
    """A setting cannot be used."""


class StoreError(ShuQiaoError):
    """The control store cannot be used."""


class RegistryError(ShuQiaoError):
    """There is no such schema, a value is not framed, or a registry elsewhere refuses."""


class RegistryAway(RegistryError):
    """The registry elsewhere cannot be reached; what needs it waits."""


class CatalogError(ShuQiaoError):
    """A schema file, the department file or the division table is wrong."""


class PolicyError(ShuQiaoError):
    """A policy file does not load or does not type-check against the catalogue."""


class GrantError(ShuQiaoError):
    """A consumer or a grant cannot be made as asked."""


class KeyringError(ShuQiaoError):
    """The keyring is missing, readable by others, or lacks a key."""


class SealError(ShuQiaoError):
    """A sealed record cannot be opened under this topic and key."""


class RoutingError(ShuQiaoError):
    """A record's division is null or not in the division table: it belongs to no scope."""


class ProjectionError(ShuQiaoError):
    """A record cannot be projected; `where` names the item."""


class MappingError(ShuQiaoError):
    """A mapping file is wrong; `where` names file and line."""


class SourceError(ShuQiaoError):
    """A source stops; nothing is lost, and its position stays where it was."""


class LogError(ShuQiaoError):
    """The log refuses."""


class PositionMoved(LogError):
    """A position was not what the writer expected: another writer was there first."""


class UnknownTopic(LogError):
    """There is no such topic or partition."""


class LogFull(LogError):
    """No space left on the device; everything acknowledged before stands."""
