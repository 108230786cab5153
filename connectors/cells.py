"""A row's cells as bytes and back, types kept: what a replay starts from.

Law: `unpack(pack(cells))` are the cells, for every type that a source hands over.
"""

import base64
import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

_PLAIN = (str, int, float, bool, type(None))


def pack(cells: Mapping[str, Any]) -> bytes:
    """The cells as JSON; what JSON does not have is tagged."""
    return json.dumps({name: _tagged(value) for name, value in cells.items()}).encode()


def unpack(packed: bytes) -> dict[str, Any]:
    """The cells again."""
    return {name: _untagged(value) for name, value in json.loads(packed).items()}


def _tagged(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ["bytes", base64.b64encode(bytes(value)).decode("ascii")]
    if isinstance(value, datetime):
        return ["datetime", value.isoformat()]
    if isinstance(value, (date, time)):
        return [type(value).__name__, value.isoformat()]
    if isinstance(value, timedelta):
        return ["timedelta", [value.days, value.seconds, value.microseconds]]
    if isinstance(value, (Decimal, UUID)):
        return [type(value).__name__, str(value)]
    return ["text", str(value)]


_READ: Mapping[str, Any] = {
    "bytes": base64.b64decode,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda parts: timedelta(*parts),
    "Decimal": Decimal,
    "UUID": UUID,
    "text": str,
}


def _untagged(value: Any) -> Any:
    return _READ[value[0]](value[1]) if isinstance(value, list) else value
