"""A schema registry elsewhere (Karapace, Apicurio, Confluent), as far as we write to it.

Law: an id is taken from it only once the schema that stands there under that id is ours, read
back; whatever else it answers, nothing is taken. What is not on loopback is reached encrypted or
not at all, without a redirect. The text of its answers is never shown: only status and code.
"""

import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import fastavro
import httpx2

from broker.address import is_loopback
from broker.errors import RegistryAway, RegistryError, SettingsError
from broker.model import Schema
from broker.projection.compatible import alike

SECONDS = 5.0
"""How long it may say nothing: to connect, between two parts of an answer."""

LARGEST_ID = (1 << 31) - 1
"""What a frame has room for, as its readers see it."""

_LARGEST = 1 << 20
"""Bytes of an answer that are read."""

_FORM = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class RegistryAddress:
    """Where it is, without a slash at the end; `user` is empty where nobody says who he is;
    `authority` is the PEM file of who signed its certificate, None: those this machine trusts."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    authority: Path | None = None

    def check(self) -> None:
        """`SettingsError` where it is no address, holds a password, or would be reached in plain
        text from another machine."""
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise _wrong("the address cannot be used") from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise _wrong("the address cannot be used")
        if "@" in parts.netloc:
            raise _wrong("a password stands in the address")
        if parts.scheme == "http" and not is_loopback(host):
            raise _wrong(f"{host} would be reached in plain text")


def _wrong(what: str) -> SettingsError:
    mend = "e.g. https://registry.example:8081; registry_user and registry_password_file say who"
    return SettingsError(what, where="setting registry_url", mend=mend)


class ExternalRegistry:
    """Publishes and withdraws schemas there. Every call may be made twice."""

    def __init__(self, address: RegistryAddress) -> None:
        """Opens no connection yet; `SettingsError` where the settings cannot be used."""
        address.check()
        self.name = address.url
        try:
            authority = str(address.authority) if address.authority else None
            trusted = ssl.create_default_context(cafile=authority)
        except (OSError, ssl.SSLError):
            raise SettingsError(
                "the certificates cannot be read",
                where="setting registry_ca",
                mend="name a PEM file that this user may read",
            ) from None
        self._client = httpx2.Client(
            base_url=self.name,
            auth=(address.user, address.password) if address.user else None,
            headers={"Accept": f"{_FORM}, application/json"},
            timeout=SECONDS,
            verify=trusted,
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"ExternalRegistry({self.name})"

    def publish(self, subject: str, schema: Schema) -> int:
        """The id under which it keeps the schema of a subject; `RegistryError` where it is away,
        refuses it, or keeps another schema under that id."""
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        path = f"/subjects/{_in_path(subject)}"
        answer = self._ask("POST", f"{path}/versions", subject, {"schema": text})
        number = answer.get("id") if isinstance(answer, dict) else None
        if type(number) is not int or not 0 < number <= LARGEST_ID:
            raise self._strange(subject)
        kept = self._ask("GET", f"/schemas/ids/{number}?subject={_in_path(subject)}", subject)
        if not _is_avro(kept) or not _keeps(kept, schema):
            raise RegistryError(
                f"the registry keeps another schema under the id {number} that it gave",
                where=self._where(subject),
                mend="end what rewrites schemas there; it is asked again",
            )
        return number

    def withdraw(self, subject: str) -> None:
        """Delete the subject there, for good; nothing where it is not there."""
        path = f"/subjects/{_in_path(subject)}"
        for step in (path, f"{path}?permanent=true"):
            self._ask("DELETE", step, subject, gone=True)

    def reach(self) -> None:
        """`RegistryError` where it cannot be asked as this user."""
        self._ask("GET", "/schemas/types", "")

    def close(self) -> None:
        """Give back connections."""
        self._client.close()

    def _ask(
        self, method: str, path: str, subject: str, body: Any = None, gone: bool = False
    ) -> Any:
        """The document that is answered; None where `gone` is allowed and it is not there."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": _FORM}
        try:
            until = time.monotonic() + 2 * SECONDS
            with self._client.stream(method, path, content=content, headers=headers) as answer:
                text = b""
                for part in answer.iter_bytes():
                    text += part
                    if len(text) > _LARGEST or time.monotonic() > until:
                        raise self._strange(subject)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
            raise RegistryAway(
                "the schema registry cannot be reached",
                where=self._where(subject),
                mend="see that it runs and that its certificate is signed by registry_ca; "
                "it is asked again",
            ) from None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        status = answer.status_code
        if gone and status == 404:
            return None
        if not 200 <= status < 300:
            raise self._refused(subject, status, found)
        return found

    def _refused(self, subject: str, status: int, found: Any) -> RegistryError:
        code = found.get("error_code") if isinstance(found, dict) else None
        said = f"{status}, code {code}" if type(code) is int and code != status else f"{status}"
        if status in (401, 403):
            mend = "check registry_user, its password and what it may write there"
        elif status in (409, 422):
            mend = "see which schema stands under that subject there, and which levels it wants"
        else:
            mend = "see that registry_url is right and the registry well; it is asked again"
        return RegistryError(
            f"the schema registry refuses ({said})", where=self._where(subject), mend=mend
        )

    def _strange(self, subject: str) -> RegistryError:
        return RegistryError(
            "what answers is no schema registry",
            where=self._where(subject),
            mend="see that registry_url is right; it is asked again",
        )

    def _where(self, subject: str) -> str:
        return f"{self.name} {subject}".strip()


def _in_path(subject: str) -> str:
    return quote(subject, safe="")


def _is_avro(kept: Any) -> bool:
    return (
        isinstance(kept, dict)
        and isinstance(kept.get("schema"), str)
        and kept.get("schemaType") in (None, "AVRO")
        and not kept.get("references")
    )


def _keeps(kept: dict[str, Any], schema: Schema) -> bool:
    """Whether what stands there gives every value the same bytes and the same meaning."""
    try:
        found = json.loads(kept["schema"])
        fastavro.parse_schema(found)
    except Exception:  # noqa: BLE001  whatever is made of it, it is not ours
        return False
    return alike(found, schema)
