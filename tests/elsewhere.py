"""A schema registry elsewhere, for tests: in this process, over HTTP, with the habits of the real
ones: it writes schemas down in its own way, deletes softly first, knows one user, and can be away.
"""

import base64
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

FIRST = 100_001
"""Its first id: far from ours."""


class Elsewhere:
    """What it holds, how it behaves, what it was asked."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self.subjects: dict[str, list[int]] = {}
        self.deleted: dict[str, list[int]] = {}
        self.schemas: dict[int, str] = {}
        self.asked: list[tuple[str, str, bytes]] = []
        self.away = False
        self.refuses: dict[str, tuple[int, int]] = {}
        """Beginning of a subject → status and code with which it is not taken."""
        self.keeps_instead: str | None = None
        """A schema that it gives back whatever it was given."""
        self.says: bytes | None = None
        """Its answer to everything."""
        self.url = ""
        self._basic = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""

    def answer(self, method: str, path: str, body: bytes, basic: str) -> tuple[int, Any]:
        """Status and document."""
        self.asked.append((method, path, body))
        parts = urlsplit(path)
        words = [unquote(one) for one in parts.path.strip("/").split("/")]
        query = parse_qs(parts.query)
        if self.away:
            return 503, {"error_code": 50301, "message": "a secret of its own"}
        if self._basic and basic != f"Basic {self._basic}":
            return 401, {"error_code": 40101, "message": "a secret of its own"}
        if words == ["schemas", "types"]:
            return 200, ["JSON", "AVRO"]
        if method == "POST" and words[0] == "subjects" and words[2:] == ["versions"]:
            return self._register(words[1], json.loads(body))
        if method == "GET" and words[:2] == ["schemas", "ids"]:
            found = self.schemas.get(int(words[2]))
            if found is None:
                return 404, {"error_code": 40403, "message": "Schema not found"}
            return 200, {"schema": self.keeps_instead or found}
        if method == "DELETE" and words[0] == "subjects":
            return self._delete(words[1], query.get("permanent") == ["true"])
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _register(self, subject: str, asked: dict[str, Any]) -> tuple[int, Any]:
        for begins, (status, code) in self.refuses.items():
            if subject.startswith(begins):
                return status, {"error_code": code, "message": "a secret of its own"}
        schema = rewritten(json.loads(asked["schema"]))
        text = json.dumps(schema)
        known = [number for number, one in self.schemas.items() if one == text]
        number = known[0] if known else FIRST + len(self.schemas)
        self.schemas[number] = text
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return 200, {"id": number}

    def _delete(self, subject: str, permanent: bool) -> tuple[int, Any]:
        if permanent and subject in self.subjects:
            return 404, {"error_code": 40405, "message": "was not deleted first"}
        if permanent and subject in self.deleted:
            return 200, list(range(1, 1 + len(self.deleted.pop(subject))))
        if not permanent and subject in self.subjects:
            self.deleted[subject] = self.subjects.pop(subject)
            return 200, list(range(1, 1 + len(self.deleted[subject])))
        code = 40404 if subject in self.deleted else 40401
        return 404, {"error_code": code, "message": "Subject not found"}


def rewritten(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as Java's library writes it: other order, documentation kept, blanks."""
    return {name: schema[name] for name in sorted(schema, reverse=True)}


@contextmanager
def elsewhere(
    user: str = "", password: str = "", certificate: tuple[Path, Path] | None = None
) -> Iterator[Elsewhere]:
    """One that answers until the block ends; over TLS with that certificate and private key."""
    found = Elsewhere(user, password)

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            basic = self.headers.get("Authorization", "")
            body = self.rfile.read(size)
            status, document = found.answer(self.command, self.path, body, basic)
            text = found.says if found.says is not None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = handle_one

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    found.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def subject_of(topic: str) -> str:
    """The subject of a topic's values; refuses what is no topic of ours."""
    assert re.fullmatch(r"(shared|collected)\.[a-z_.0-9]+", topic), topic
    return f"{topic}-value"
