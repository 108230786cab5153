"""What is wrong with an installation, and what to do.

Law: it looks and changes nothing; every finding says where and how to mend it. One check
that fails never keeps another from running.
"""

import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from broker.bootstrap import Broker
from broker.errors import SettingsError, ShuQiaoError
from broker.log.interface import DAMAGED
from broker.log.place import network_file_system
from broker.policy.load import check_policy
from broker.private_file import PRIVATE
from broker.projection.projector import ANOTHER_VERSION, KERNEL, chosen
from broker.seal import PROOF
from broker.sharing.publishing import left_behind
from broker.sqlite_options import OLDEST, build_faults
from broker.web.address import listening
from broker.web.role import port_hold

_LOW_DISK = 1 << 30
"""Bytes below which the disk is called full soon."""
_PRIVATE = ("log.db", "store.db", "keyring.json", "events.jsonl", "ends.json")
"""Files that hold records, rights, secrets, or where something stands; with what is beside them:
`log.db-wal`, a rotated `events.jsonl.1`."""
_NOT_GIVEN = (
    "stop everything that has the file open, see that it lies on a disk of this machine, and start "
    "again; if it stays so, use a Python with another SQLite"
)
"""What to do where SQLite does not work as it was asked to."""
_ANEW = "delete .venv and start ./run again, or `pip install --force-reinstall` what you installed"
_MAY_BE_AHEAD = 60
"""Seconds by which a file may be newer than the clock."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, what was found, and how to mend it (empty: in order).
    `warning`: it does its work as it is, though not well."""

    check: str
    found: str
    mend: str = ""
    warning: bool = False

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.mend or self.warning


def examine(broker: Broker) -> Iterator[Finding]:
    """Every check, one after the other."""
    checks: tuple[tuple[str, Callable[[Broker], Iterator[Finding]]], ...] = (
        ("python", _python),
        ("projection", _projection),
        ("disk", _disk),
        ("files", _files),
        ("clock", _clock),
        ("catalogue", _catalogue),
        ("policies", _policies),
        ("policy", _in_force),
        ("mappings", _mappings),
        ("store", _store),
        ("keyring", _keyring),
        ("log", _log),
        ("registry", _registry),
        ("ports", _ports),
    )
    for name, check in checks:
        try:
            yield from check(broker)
        except ShuQiaoError as error:
            where = f"{error.where}: " if error.where else ""
            yield Finding(name, f"{where}{error.what}", error.mend or "mend it")


def _python(broker: Broker) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", version)
    faults = build_faults()
    for fault in faults:
        oldest = ".".join(map(str, OLDEST))
        mend = f"use a Python whose SQLite is {oldest} or newer and built as usual"
        yield Finding("sqlite", f"{sqlite3.sqlite_version}: {fault}", mend)
    if not faults:
        yield Finding("sqlite", f"{sqlite3.sqlite_version}, built with what is needed")


def _projection(broker: Broker) -> Iterator[Finding]:
    found = chosen()
    if found.by == KERNEL:
        yield Finding("projection", "by the kernel")
    elif found.why == ANOTHER_VERSION:
        told = "by the reference, which is slow: the kernel was built for another version"
        yield Finding("projection", told, f"install anew: {_ANEW}", warning=True)
    else:
        told = "by the reference, which is slow: the kernel is not built"
        yield Finding("projection", told, f"install a C compiler, then {_ANEW}", warning=True)


def _disk(broker: Broker) -> Iterator[Finding]:
    place = _existing(broker.settings.state)
    kind = network_file_system(place)
    if kind:
        mend = "put the state folder on a disk of this machine"
        yield Finding("disk", f"{place} is on a network file system ({kind})", mend)
    free = shutil.disk_usage(place).free
    mend = "free space: what cannot be written is not lost, but waits" if free < _LOW_DISK else ""
    yield Finding("disk", f"{free >> 20} MB free", mend)


def _files(broker: Broker) -> Iterator[Finding]:
    """Each file by its own mode: a folder's can be changed, and a file be copied out of it."""
    state = broker.settings.state
    there = sorted(
        path for name in _PRIVATE for path in state.glob(f"{name}*") if not path.is_symlink()
    )
    if (shared := broker.settings.keyring) and shared.exists():
        there.append(shared)
    loose = [path for path in there if stat.S_IMODE(path.stat().st_mode) & ~PRIVATE]
    for path in loose:
        mend = f"chmod 600 {path}, and ask who could read it until now"
        yield Finding("files", f"{path} can be read by others", mend)
    if not loose:
        names = ", ".join(path.name for path in there) or "none yet"
        yield Finding("files", f"readable by their owner alone: {names}")


def _clock(broker: Broker) -> Iterator[Finding]:
    files = [broker.settings.state / name for name in ("log.db", "store.db", "events.jsonl")]
    newest = max((path.stat().st_mtime for path in files if path.exists()), default=0.0)
    ahead = newest - time.time()
    if ahead > _MAY_BE_AHEAD:
        found = f"the clock is {int(ahead)} s behind what was written last"
        yield Finding("clock", found, "set the clock; nothing is released by it meanwhile")
    else:
        yield Finding("clock", f"{broker.clock().astimezone(broker.settings.zone):%F %T %Z}")


def _catalogue(broker: Broker) -> Iterator[Finding]:
    yield Finding("catalogue", f"{len(broker.catalog.datasets)} datasets")


def _policies(broker: Broker) -> Iterator[Finding]:
    errors = check_policy(broker.policy_folders, broker.catalog, broker.today)
    for error in errors:
        yield Finding("policies", f"{error.where}: {error.what}", error.mend or "mend the file")
    if not errors:
        yield Finding("policies", "the files are in order")


def _in_force(broker: Broker) -> Iterator[Finding]:
    """The stored version, which the files and the catalogue may have left behind."""
    versions = broker.versions.all() if _store_is_there(broker) else []
    if not versions:
        yield Finding("policy", "no version yet")
        return
    policy = broker.versions.policy(versions[-1].number, broker.today)
    yield Finding("policy", f"version {versions[-1].number} is in force ({policy.version})")


def _mappings(broker: Broker) -> Iterator[Finding]:
    if any(broker.settings.mappings_path.glob("*.yaml")):
        yield Finding("mappings", f"{len(broker.mappings())} sources")
    else:
        yield Finding("mappings", "none yet")


def _store(broker: Broker) -> Iterator[Finding]:
    if not _store_is_there(broker):
        yield Finding("store", "made with the first consumer")
        return
    for fault in broker.store.faults():
        yield Finding("store", fault, _NOT_GIVEN)
    versions = broker.versions.all()
    yield Finding("store", f"{len(broker.sharing.consumers())} consumers, "
                  f"policy version {versions[-1].number if versions else 0}")  # fmt: skip


def _store_is_there(broker: Broker) -> bool:
    return bool(broker.settings.store) or (broker.settings.state / "store.db").exists()


def _keyring(broker: Broker) -> Iterator[Finding]:
    there = broker.settings.log_path.exists()
    if broker.cluster is not None:
        there = broker.log.position(PROOF) is not None
    if not there:
        yield Finding("keyring", "made with the first record")
        return
    assert broker.sealer
    yield Finding("keyring", "belongs to this log")


def _log(broker: Broker) -> Iterator[Finding]:
    if broker.cluster is not None:
        yield from _on_cluster(broker)
        return
    if not broker.settings.log_path.exists():
        yield Finding("log", "empty")
        return
    faults = broker.log.faults()
    for fault in faults:
        mend = "restore it from a backup" if fault == DAMAGED else _NOT_GIVEN
        yield Finding("log", f"{broker.settings.log_path}: {fault}", mend)
    if not faults:
        yield Finding("log", f"{len(broker.log.topics())} topics, pages in order")


def _on_cluster(broker: Broker) -> Iterator[Finding]:
    settings = broker.settings
    yield Finding(
        "log",
        f"{len(broker.log.topics())} topics on {settings.kafka_servers} as {settings.kafka_user}",
    )
    if not _store_is_there(broker):
        return
    if found := broker.topics_check.differences():
        mend = "`shuqiao topics check`"
        yield Finding("cluster", f"{len(found)} things are not as they should be", mend)
    else:
        yield Finding("cluster", "as it should be")


def _registry(broker: Broker) -> Iterator[Finding]:
    address, publisher = broker.settings.registry_url, broker.publisher
    if _store_is_there(broker):
        for name, left in left_behind(broker.store, address).items():
            mend = "name it in registry_url until all shares there are closed, or delete them there"
            yield Finding("registry", f"{left} subjects may still stand in {name}", mend)
        waiting = publisher.waiting() if publisher else []
        if waiting:
            mend = "see that `shuqiao up` or `shuqiao controller` runs, and what it says"
            found = f"{len(waiting)} shares wait until their schemas are published"
            yield Finding("registry", found, mend)
    if publisher:
        broker.elsewhere.reach()
    yield Finding("registry", f"{address} answers" if publisher else "our own")


def _ports(broker: Broker) -> Iterator[Finding]:
    broker.address.check()
    for setting, host, port in broker.address.ports():
        if broker.hold(port_hold(port)).elsewhere():
            yield Finding("ports", f"{host}:{port} is listened on by this installation")
            continue
        try:
            listening(setting, host, port).close()
        except SettingsError as error:
            yield Finding("ports", f"{error.where}: {error.what}", error.mend)
        else:
            yield Finding("ports", f"{host}:{port} is free")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    place = path.resolve()
    while not place.exists():
        place = place.parent
    return place
