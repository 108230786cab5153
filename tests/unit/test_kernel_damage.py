"""A body that is damaged is refused with the name of the field in which it is, whatever the kind of
damage; nothing of it is shown.
"""

from dataclasses import replace
from typing import Any

import pytest

from broker.errors import ProjectionError
from broker.model import Kind
from broker.policy.effects import LADDERS
from broker.projection.program import By, Shown
from broker.projection.projector import Projector
from broker.projection.reference import Projection
from tests.fuzz.programs import BASE, DATE, MICROS, MILLIS, decimal
from tests.kernel import needs_kernel
from tests.laws.both import DOMAIN, Both, World
from tests.laws.records import DIVISIONS

needs_kernel()

SOUND: dict[str, tuple[Any, bytes]] = {
    "flag": ("boolean", b"\x01"),
    "small": ("int", b"\x02"),
    "large": ("long", b"\x02"),
    "short": ("float", b"\x00\x00\x80\x3f"),
    "double": ("double", b"\x00" * 8),
    "text": ("string", b"\x04ab"),
    "blob": ("bytes", b"\x04\xff\xff"),
    "day": (DATE, b"\x02"),
    "millis": (MILLIS, b"\x02"),
    "micros": (MICROS, b"\x02"),
    "amount": (decimal(5, 2), b"\x04\x01\x00"),
    "maybe": (["null", "string"], b"\x02\x04ab"),
    "perhaps": (["string", "null"], b"\x00\x04ab"),
    "scope": ("string", b"\x02x"),
}
LONGEST = b"\xff" * 9
DAMAGE: dict[str, tuple[str, bytes]] = {
    "a boolean of two": ("flag", b"\x02"),
    "a boolean of 255": ("flag", b"\xff"),
    "an overlong zero": ("small", b"\x80\x00"),
    "an overlong one": ("large", b"\x82\x80\x00"),
    "an int beyond 32 bits": ("small", b"\x80\x80\x80\x80\x10"),
    "a long beyond 64 bits": ("large", LONGEST + b"\x02"),
    "a long of eleven bytes": ("large", b"\xff" * 10 + b"\x01"),
    "a long without an end": ("large", b"\xff" * 20),
    "a float that signals": ("short", b"\x01\x00\x80\x7f"),
    "a text of negative length": ("text", b"\x01ab"),
    "a text beyond the end": ("text", b"\xfe\x7fab"),
    "a text of the longest length": ("text", b"\xfe" + b"\xff" * 8 + b"\x01"),
    "a text of the most negative length": ("text", LONGEST + b"\x01"),
    "a text of an overlong length": ("text", b"\x84\x00ab"),
    "bytes beyond the end": ("blob", b"\xfe\x7f\xff\xff"),
    "a text with a stray byte": ("text", b"\x04a\x80"),
    "a text with an overlong character": ("text", b"\x04\xc0\x80"),
    "a text with a surrogate": ("text", b"\x06\xed\xa0\x80"),
    "a text beyond the last character": ("text", b"\x08\xf4\x90\x80\x80"),
    "a text that is cut within a character": ("text", b"\x04\xe5\xbc"),
    "a day before the first": ("day", b"\xb3\xe5\x57"),
    "a day behind the last": ("day", b"\xc2\x83\xe6\x02"),
    "a moment behind the last": ("millis", b"\xfe" + b"\xff" * 8 + b"\x01"),
    "a moment before the first": ("micros", LONGEST + b"\x01"),
    "a decimal of no bytes": ("amount", b"\x00"),
    "a decimal that is padded": ("amount", b"\x06\x00\x01\x00"),
    "a decimal of too many digits": ("amount", b"\x06\x01\x86\xa0"),
    "a decimal of nine bytes": ("amount", b"\x12\x01" + b"\x00" * 8),
    "a third branch": ("maybe", b"\x04"),
    "a negative branch": ("maybe", b"\x01"),
    "an overlong branch": ("maybe", b"\x82\x00\x04ab"),
    "the value's branch, null last, out of range": ("perhaps", b"\x04\x04ab"),
}
"""Which field is damaged, and what stands in its place."""


def _world() -> World:
    items = [
        replace(
            BASE.items[0], name=name, kind=Kind.DIVISION_CODE if name == "scope" else Kind.CODE,
            avro="string" if isinstance(avro, list) else avro, required=False, embeds=(),
            concept=name,
        )
        for name, (avro, _) in SOUND.items()
    ]  # fmt: skip
    dataset = replace(BASE, items=tuple(items), scope_item="scope", primary_key=("scope",))
    fields = [{"name": name, "type": avro} for name, (avro, _) in SOUND.items()]
    templates = [{item.name: LADDERS[item.kind][0] for item in items}]
    return World(dataset, {"type": "record", "name": "w", "fields": fields}, templates)


BOTH = Both(_world())
BODY = b"".join(one for _, one in SOUND.values())


class Routing:
    """Never asked: what is damaged goes nowhere."""

    def __init__(self) -> None:
        self.row: dict[str, By] = {}

    def reach(self, division: str | None) -> Any:
        raise AssertionError("a damaged record was routed")

    judge = choose = reach


PROJECTOR = Projector(
    BOTH.world.writer,
    BOTH.world.dataset,
    [Shown(BOTH.world.templates[0], DOMAIN)],
    [Projection(BOTH.world.dataset, BOTH.world.templates[0], DOMAIN, DIVISIONS)],
    Routing(),  # type: ignore[arg-type]
    DIVISIONS,
    fast=True,
)


def damaged(name: str, by: bytes) -> bytes:
    return b"".join(by if name == one else sound for one, (_, sound) in SOUND.items())


def _refused(body: bytes, name: str) -> None:
    assert BOTH.kernel.damaged(body) == name
    assert BOTH.fast(body) is None
    with pytest.raises(ProjectionError) as error:
        PROJECTOR.project(body, 2026)
    assert error.value.where == name


def test_what_is_sound_is_not_refused() -> None:
    assert BOTH.kernel.damaged(BODY) is None
    assert BOTH.fast(BODY) == BOTH.slow(BODY) != [None]


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_refused_with_the_fields_name(kind: str) -> None:
    _refused(damaged(*DAMAGE[kind]), DAMAGE[kind][0])


@pytest.mark.parametrize("name", SOUND)
def test_an_end_within_a_field_is_refused_with_its_name(name: str) -> None:
    before = b"".join(sound for one, (_, sound) in list(SOUND.items())[: list(SOUND).index(name)])
    for cut in range(len(SOUND[name][1])):
        _refused(BODY[: len(before) + cut], name)


@pytest.mark.parametrize("more", [b"\x00", b"\x02", BODY])
def test_what_is_left_over_is_of_no_field(more: bytes) -> None:
    _refused(BODY + more, "")


def test_of_two_damages_the_first_is_named() -> None:
    body = damaged("flag", b"\x02").replace(b"\x02x", b"\xfe\x7fx")
    assert BOTH.kernel.damaged(body) == "flag"
