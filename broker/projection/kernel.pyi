from collections.abc import Callable, Sequence
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
    ) -> None: ...

class Kernel:
    def __init__(self, program: Program, version: int) -> None: ...
    def damaged(self, body: bytes) -> str | None: ...
    def project(self, body: bytes, choices: Choices) -> tuple[Any, list[bytes | None]] | None: ...
