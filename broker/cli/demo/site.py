"""The demo's consumers over HTTP: a key each, asked for as they would ask.

Law: a key is kept in memory alone, and shown only where the demo's reader is to try it.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

_TIMEOUT = 5


class Site:
    """The HTTP role at a port; `new_key` makes a key of a consumer."""

    def __init__(self, port: int, new_key: Callable[[str], str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._new_key = new_key
        self._keys: dict[str, str] = {}

    def key(self, consumer: str) -> str:
        """The consumer's key, made on first use."""
        if consumer not in self._keys:
            self._keys[consumer] = self._new_key(consumer)
        return self._keys[consumer]

    def answers(self) -> bool:
        """Whether it is ready there."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=_TIMEOUT) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def curl(self, consumer: str, path: str) -> str:
        """A line to type that asks as the consumer would."""
        return f'curl -H "Authorization: Bearer {self.key(consumer)}" "{self.url}{path}"'

    def get(self, consumer: str, path: str) -> tuple[int, Any]:
        """Status and JSON body; status 0 where nobody answers."""
        asked = urllib.request.Request(
            self.url + path, headers={"Authorization": f"Bearer {self.key(consumer)}"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=_TIMEOUT) as answer:
                return int(answer.status), json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None
        except (OSError, ValueError):
            return 0, None
