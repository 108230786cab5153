from collections.abc import Callable, Mapping, Sequence
from typing import Any

from broker.projection.program import Program

VERSION: int

class Choices:
    reached: dict[Any, Any]
    verdicts: dict[bytes, Any]
    def __init__(
        self,
        reach: Callable[[str | None], dict[Any, Any]],
        judge: Callable[[Sequence[bytes | None]], Any],
        choose: Callable[[Any, Any], Any],
        most: int = ...,
    ) -> None: ...

class Keyed:
    def __init__(self, secret: bytes) -> None: ...
    def of(self, data: bytes) -> bytes: ...

class Kernel:
    def __init__(self, program: Program, version: int) -> None: ...
    def damaged(self, body: bytes) -> str | None: ...
    def land(
        self,
        keys: list[bytes],
        bodies: list[bytes],
        choices: Choices,
        held: Mapping[bytes, frozenset[str]],
        nobody: frozenset[str],
        outputs: list[tuple[list[bytes], list[bytes | None]]],
        hashes: list[Keyed],
        moved: dict[bytes, frozenset[str]],
    ) -> tuple[list[int], int]: ...
    def project(self, body: bytes, choices: Choices) -> tuple[Any, list[bytes | None]] | None: ...
