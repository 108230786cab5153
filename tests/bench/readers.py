"""Consumers that read a snapshot again and again until they are refused, in a process of
their own. What to read comes on standard input, what happened leaves on standard output.

The times are of the monotonic clock, which all processes of a machine share.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests import city

_OVER = (b"401", b"403", b"404", b"410")
_BUFFER = 1 << 16


class Readers:
    """The readers' process, seen from the one that revokes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def all_read(self) -> None:
        """Return when each has had a first record."""
        self._line()

    def ended(self) -> list[dict[str, Any]]:
        """Of each: the time of its `last` record, of its refusal, the status of that."""
        found: list[dict[str, Any]] = json.loads(self._line())
        return found

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("the readers have ended")
        return line


@contextmanager
def reading(url: str, path: str, keys: list[str]) -> Iterator[Readers]:
    """A reader for each key, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.readers"],
        cwd=city.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdin
        process.stdin.write(json.dumps({"url": url, "path": path, "keys": keys}) + "\n")
        process.stdin.flush()
        yield Readers(process)
    finally:
        process.kill()
        process.communicate()


async def _read(asked: dict[str, Any]) -> None:
    host, _, port = asked["url"].removeprefix("http://").partition(":")
    found: list[dict[str, Any]] = [{"last": 0.0} for _ in asked["keys"]]
    waiting = set(range(len(found)))

    async def one(number: int, key: str) -> None:
        ask = (
            f"GET {asked['path']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {key}\r\n\r\n"
        )
        mine = found[number]
        while True:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(ask.encode())
            try:
                status = (await reader.readline()).split()[1:2]
                if status and status[0] in _OVER:
                    mine.update(refused=time.monotonic(), status=int(status[0]))
                    return
                while piece := await reader.read(_BUFFER):
                    if b'"value"' in piece:
                        mine["last"] = time.monotonic()
                        waiting.discard(number)
                        if not waiting:
                            waiting.add(-1)
                            print("all", flush=True)
            except OSError:
                continue
            finally:
                writer.close()

    await asyncio.gather(*(one(*pair) for pair in enumerate(asked["keys"])))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(_read(json.loads(sys.stdin.readline())))
