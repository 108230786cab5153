"""Settings: `shuqiao.yaml` and the environment, read here and nowhere else.

Law: an unknown or unusable setting stops the start and is named; its content is not
shown. The environment (`SHUQIAO_…`) beats the file; the file beats the defaults.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

import policies
import schemas
from broker.errors import SettingsError
from broker.marked import load_marked

FILE = "shuqiao.yaml"
"""The settings file, looked for in the folder the command is started in."""


class Settings(BaseSettings):
    """Every setting. Paths are taken from the folder the command is started in."""

    model_config = SettingsConfigDict(env_prefix="SHUQIAO_", extra="forbid", frozen=True)

    state: Path = Field(
        Path(".shuqiao"), description="folder of the log, the store, the keyring and the mappings"
    )
    schemas: Path = Field(
        Path(next(iter(schemas.__path__))), description="folder of the catalogue's schema files"
    )
    policies: Path = Field(
        Path(next(iter(policies.__path__))), description="folder of the policy files"
    )
    sources: Path | None = Field(
        None, description="folder that the mappings' files are found in; `<state>/sources`"
    )
    store: str = Field(
        "", description="SQLAlchemy address of the control store; a file in the state folder"
    )
    store_password_file: Path | None = Field(None, description="file that holds its password")
    keyring: Path | None = Field(
        None, description="the keyring, where several machines share it; in the state folder"
    )
    timezone: str = Field("Asia/Shanghai", description="the city's time zone")
    settle_seconds: int = Field(
        5, ge=0, description="rows changed later than this before now wait for the next run"
    )
    overlap_seconds: int = Field(
        600, ge=0, description="how far a run reads back behind where the last one stopped"
    )
    batch: int = Field(2_000, ge=1, le=100_000, description="rows a batch of a connector")
    poll_seconds: int = Field(
        10, ge=1, description="how long a following connector waits before it reads again"
    )
    stalled_seconds: int = Field(
        900, ge=120, description="how long a source may be silent before it is called stalled"
    )
    relay_batch: int = Field(
        10_000, ge=1, le=100_000, description="records that a batch of the relay has at most"
    )

    kafka_servers: str = Field(
        "", description="`host:port,…` of an Apache Kafka that is the log; none: one machine"
    )
    kafka_user: str = Field("", description="the broker's own SCRAM user there")
    kafka_password_file: Path | None = Field(None, description="file that holds its password")
    kafka_ca: Path | None = Field(
        None, description="PEM file of who signed the brokers' certificates"
    )
    kafka_transport: Literal["auto", "librdkafka", "kafka-python"] = Field(
        "auto", description="client that carries the data; `auto`: librdkafka where it is there"
    )

    registry_url: str = Field(
        "",
        max_length=400,
        description="address of a schema registry that schemas are published in; none: our own",
    )
    registry_user: str = Field("", description="the broker's own user there")
    registry_password_file: Path | None = Field(None, description="file that holds its password")
    registry_ca: Path | None = Field(
        None, description="PEM file of who signed its certificate; those this machine trusts"
    )

    http_host: str = Field("127.0.0.1", description="address that `serve` listens on")
    http_port: int = Field(8731, ge=0, le=65535, description="port that `serve` listens on")
    http_certificate: Path | None = Field(None, description="TLS certificate chain, a PEM file")
    http_private_key: Path | None = Field(None, description="its private key, a PEM file")
    http_requests_per_minute: int = Field(
        600, ge=1, description="requests that one consumer may make in a minute"
    )
    http_streams: int = Field(
        20, ge=1, description="streams, waiting requests and pages that one consumer may have open"
    )
    metrics_port: int = Field(
        8732, ge=0, le=65535, description="loopback port of `/metrics`; 0: none"
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("unknown time zone") from None
        return name

    @field_validator("registry_url")
    @classmethod
    def _written_in_one_way(cls, url: str) -> str:
        return url.strip().rstrip("/")

    @property
    def zone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def settle(self) -> timedelta:
        """The settle delay."""
        return timedelta(seconds=self.settle_seconds)

    @property
    def overlap(self) -> timedelta:
        """The overlap window."""
        return timedelta(seconds=self.overlap_seconds)

    @property
    def log_path(self) -> Path:
        """The embedded log."""
        return self.state / "log.db"

    @property
    def keyring_path(self) -> Path:
        """The keyring."""
        return self.keyring or self.state / "keyring.json"

    @property
    def store_url(self) -> str:
        """The control store's address."""
        return self.store or f"sqlite:///{self.state / 'store.db'}"

    @property
    def events_path(self) -> Path:
        """The JSON event log."""
        return self.state / "events.jsonl"

    @property
    def holds_path(self) -> Path:
        """The folder of the lock files."""
        return self.state / "holds"

    @property
    def ends_path(self) -> Path:
        """The controller's copy of the end dates."""
        return self.state / "ends.json"

    @property
    def mappings_path(self) -> Path:
        """The folder of mapping files."""
        return self.state / "mappings"

    @property
    def sources_path(self) -> Path:
        """The folder that the mappings' files are found in."""
        return self.sources or self.state / "sources"

    @property
    def local_policies(self) -> Path:
        """Rules of this installation alone, beside those shipped."""
        return self.state / "policies"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before what is passed in, which comes from the file."""
        return env_settings, init_settings


def load_settings(file: Path | None = None) -> Settings:
    """The settings of this process; `SettingsError` names file and line, or the setting."""
    path = file or Path(FILE)
    content = _read(path) if path.exists() else {}
    try:
        return Settings(**content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"the setting {name} cannot be used",
            where=f"{path} or SHUQIAO_{name.upper()}",
            mend=f"one of: {', '.join(Settings.model_fields)}"
            if first["type"] == "extra_forbidden"
            else "CONTRIBUTING.md lists the settings with their meaning",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    content = load_marked(path, SettingsError)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError("not a mapping", where=str(path), mend="write `name: value` lines")
    return dict(content)
