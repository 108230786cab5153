"""Builds the connectors' side: mappings, sources, runners, the replay.

Law: a mapping file that is wrong stops what it maps, and nothing else.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from broker.base import Base
from broker.errors import MappingError, SourceError
from broker.model import Dataset
from broker.store.kept_lease import KeptLease
from connectors.collect import Collector, Secrets
from connectors.convert import Converter
from connectors.files import CsvDrops
from connectors.mapping import Mapping, load_mapping
from connectors.replay import Replay, Way
from connectors.role import Claim, ConnectRole
from connectors.runner import Runner, Supply
from connectors.source import Source
from connectors.sql import SqlTable
from connectors.standing import Standing, Standings
from connectors.status import Statuses


@dataclass(frozen=True, slots=True)
class _Maker:
    """What makes a runner, and the mappings that it is made of."""

    mappings: Sequence[Mapping]
    make: Callable[[], Runner]


class Sources(Base):
    """The sources of an installation."""

    def connect_role(self, tell: Callable[[str], None], dataset: str = "") -> ConnectRole:
        """The connectors as a role, for one dataset or for all that have mappings."""

        known: dict[tuple[object, ...], list[tuple[str, Callable[[], Runner]]]] = {}
        kept: dict[str, _Maker] = {}

        def runners() -> list[tuple[str, Callable[[], Runner]]]:
            # reading mappings costs more than an idle source: again when one changed, and
            # once a minute for sources that are new
            files = self._mapping_files()
            state = (int(time.monotonic() // 60), *((one, one.stat().st_mtime_ns) for one in files))
            if state not in known:
                known.clear()
                # one whose mappings are as they were keeps its runner, and what that remembers
                found = dict(self._makers(files, dataset))
                for name, maker in found.items():
                    if name not in kept or kept[name].mappings != maker.mappings:
                        kept[name] = maker
                known[state] = [(name, kept[name].make) for name in found]
            return known[state]

        return ConnectRole(
            runners,
            self.claim,
            tell,
            self.telemetry.emit,
            limit=self.settings.batch,
            pause=self.settings.poll_seconds,
        )

    def claim(self, name: str) -> Claim:
        """What only one process may have: of this machine, or of all where there are several."""
        return KeptLease(self.store, name) if self.settings.kafka_servers else self.hold(name)

    def _makers(self, files: Sequence[Path], dataset: str) -> Iterator[tuple[str, "_Maker"]]:
        """What makes each dataset's runner; a file that is wrong stops what it maps alone."""
        mappings, wrong = self._read(files)
        for file in wrong:
            yield file.name, _Maker([], partial(self._refused, file))
        for name in sorted({one.dataset for one in mappings if dataset in ("", one.dataset)}):
            its = [one for one in mappings if one.dataset == name]
            yield name, _Maker(its, partial(self.runner, name, its))

    def _refused(self, file: Path) -> Runner:
        """Say again what is wrong with a mapping file."""
        self.mappings([file])
        raise MappingError("the file has just been mended", where=str(file), mend="wait a minute")

    def _mapping_files(self) -> list[Path]:
        folder = self.settings.mappings_path
        return sorted(folder.glob("*.yaml")) if folder.is_dir() else []

    def mappings(self, files: Sequence[Path] | None = None) -> list[Mapping]:
        """Every mapping of the state folder (of those files), one a source."""
        files = self._mapping_files() if files is None else files
        if not files:
            raise MappingError(
                "there is no mapping",
                where=str(self.settings.mappings_path),
                mend="put a mapping file there; connectors/samples/mappings has six to start from",
            )
        mappings, wrong = self._read(files)
        if wrong:
            raise next(iter(wrong.values()))
        return mappings

    def _read(self, files: Sequence[Path]) -> tuple[list[Mapping], dict[Path, MappingError]]:
        """The mappings of the files that are right, and what is wrong with the others."""
        named: dict[tuple[str, str], Mapping] = {}
        wrong: dict[Path, MappingError] = {}
        for file in files:
            try:
                names = dict(named)
                for mapping in load_mapping(file, self.catalog, self.settings.sources_path):
                    _add(names, mapping)
                named = names
            except MappingError as error:
                wrong[file] = error
        return list(named.values()), wrong

    def refused(self) -> list[MappingError]:
        """What is wrong with mapping files; the others are read all the same."""
        return list(self._read(self._mapping_files())[1].values())

    def source(self, mapping: Mapping) -> Source:
        """The source that a mapping describes."""
        if mapping.absent:
            raise SourceError(
                f"no file matches {mapping.pattern}",
                where=mapping.name,
                mend=f"put it below {mapping.folder}, or mend source.files in {mapping.file}",
            )
        if mapping.kind == "csv":
            return CsvDrops(mapping, self.converter(mapping).key, self.settings.settle)
        return SqlTable(
            mapping,
            self.catalog.dataset(mapping.dataset),
            settle=self.settings.settle,
            overlap=self.settings.overlap,
            secret=self.dataset_key("row", self.catalog.dataset(mapping.dataset)),
        )

    def converter(self, mapping: Mapping) -> Converter:
        """The converter of a mapping."""
        return Converter(self.catalog.dataset(mapping.dataset), mapping, self.divisions)

    def runner(self, dataset: str, mappings: list[Mapping]) -> Runner:
        """The runner of one dataset, for all its sources."""
        found = self.catalog.dataset(dataset)
        secrets = self._secrets(found)  # made before the topic that they are kept with
        supplies, absent = [], []
        for mapping in mappings:
            if mapping.dataset == dataset:
                try:
                    make = partial(self.collector, mapping, secrets)
                    supplies.append(Supply(self.source(mapping), make))
                except SourceError as error:
                    absent.append(error)
        return Runner(
            found,
            supplies,
            absent,
            log=self.log,
            sealer=self.sealer,
            emit=self.telemetry.emit,
        )

    def standings(self) -> list[tuple[str, Standing]]:
        """Where every source stands, with its dataset."""
        mappings, _ = self._read(self._mapping_files())
        patience = timedelta(seconds=self.settings.stalled_seconds)
        return [
            (dataset.id, one)
            for dataset in self.catalog.datasets.values()
            for one in Standings(dataset, self.log, self.sealer, patience, self.settings.zone).all(
                {
                    mapping.name: self.source(mapping)
                    for mapping in mappings
                    if mapping.dataset == dataset.id and not mapping.absent
                }
            )
        ]

    def source_names(self, dataset: str) -> set[str]:
        """The sources that the mappings give, and those that were read once."""
        mappings, _ = self._read(self._mapping_files())
        given = {
            mapping.name
            for mapping in mappings
            if mapping.dataset == dataset and not mapping.absent
        }
        return given | set(Statuses(dataset, self.log, self.sealer).names())

    def replay(self, dataset: str) -> Replay:
        """The replay of a dataset's quarantine."""
        found, mappings = self.catalog.dataset(dataset), self.mappings()
        secrets = self._secrets(found)
        ways = {
            mapping.name: Way(mapping, partial(self.collector, mapping, secrets))
            for mapping in mappings
            if mapping.dataset == dataset
        }
        return Replay(
            found,
            ways,
            log=self.log,
            sealer=self.sealer,
            secret=secrets.row,
            emit=self.telemetry.emit,
        )

    def collector(self, mapping: Mapping, secrets: Secrets) -> Collector:
        """What turns the rows of a mapping's source into records."""
        dataset = self.catalog.dataset(mapping.dataset)
        return Collector(
            dataset,
            mapping.name,
            self.converter(mapping),
            log=self.log,
            sealer=self.sealer,
            schema_id=self.registry.schema_id(dataset.schema),
            secrets=secrets,
        )

    def _secrets(self, dataset: Dataset) -> Secrets:
        return Secrets(self.dataset_key("record", dataset), self.dataset_key("row", dataset))


def _add(named: dict[tuple[str, str], Mapping], mapping: Mapping) -> None:
    """Add a mapping by its name, which must be its own."""
    other = named.setdefault((mapping.dataset, mapping.name), mapping)
    if other is not mapping:
        raise MappingError(
            f"two sources of {mapping.dataset} are named {mapping.name}",
            where=mapping.file,
            mend=f"give one another name, or remove it; the other stands in {other.file}",
        )
