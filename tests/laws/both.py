"""A record by the kernel and by the reference, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.errors import ProjectionError
from broker.model import Dataset
from broker.policy.model import Effect
from broker.projection import projector
from broker.projection.avro import Codec
from broker.projection.program import VERSION, By, Shown, compile_program
from broker.projection.reference import Projection
from broker.pseudonym import Pseudonyms
from tests.laws import records as r

DOMAIN = Pseudonyms(b"k" * 32)


@dataclass
class World:
    """A dataset, who wrote a record of it, and the shares' effects."""

    dataset: Dataset
    writer: dict[str, Any]
    templates: list[dict[str, Effect]]
    row: dict[str, By] = field(default_factory=dict)


class Reached(dict[Any, Any]):
    """Every template, whatever the record."""

    def __init__(self, templates: Sequence[int]) -> None:
        self.templates = templates


class Both:
    """The same world by the kernel and by the reference."""

    def __init__(self, world: World) -> None:
        self.world = world
        shown = [Shown(one, DOMAIN) for one in world.templates]
        program = compile_program(world.writer, world.dataset, shown, world.row, r.DIVISIONS)
        assert program is not None
        self.kernel = projector._kernel.Kernel(program, VERSION)
        self.judged: list[Sequence[bytes | None]] = []
        self.choices = projector._kernel.Choices(
            self._reach, self._judge, lambda reached, verdict: reached
        )
        self.codec = Codec(world.writer)
        self.references = [
            Projection(world.dataset, one, DOMAIN, r.DIVISIONS) for one in world.templates
        ]

    def _reach(self, division: str | None) -> Reached:
        return Reached(range(len(self.world.templates)))

    def _judge(self, row: Sequence[bytes | None]) -> tuple[int]:
        self.judged.append(row)
        return (len(self.judged),)

    def fast(self, body: bytes) -> list[bytes | None] | None:
        found = self.kernel.project(body, self.choices)
        return None if found is None else found[1]

    def slow(self, body: bytes) -> list[bytes | None] | None:
        try:
            record = self.codec.decode(body)
        except ProjectionError:
            return None
        return [_projected(one, record) for one in self.references]


def _projected(reference: Projection, record: Mapping[str, Any]) -> bytes | None:
    try:
        return reference.project(record)
    except ProjectionError:
        return None
