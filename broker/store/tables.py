"""The control store's tables: consumers with their keys, grants, shares and who has read them,
schemas, policy versions, leases.

Law: no value of a record stands here. The migrations build exactly these tables
(a test compares them).
"""

from sqlalchemy import (
    JSON,
    Column,
    Date,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

consumer = Table(
    "consumer",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("department", String(64), nullable=False),
    Column("tier", Integer, nullable=False),
    Column("title", String(200), nullable=False),
)

tier_change = Table(
    "tier_change",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("consumer", String(64), ForeignKey("consumer.id"), nullable=False, index=True),
    Column("before", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    Column("author", String(200), nullable=False),
    Column("approver", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Who changed a consumer's tier, who approved, why."""

schema = Table(
    "schema",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("content", Text, nullable=False),
    sqlite_autoincrement=True,
)

share = Table(
    "share",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("dataset", String(128), nullable=False, index=True),
    Column("identity", String(64), nullable=False, index=True),
    Column("effects", JSON, nullable=False),
    Column("rows", JSON, nullable=False),
    Column("domain", String(400), nullable=False),
    Column("schema_id", Integer, ForeignKey("schema.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", String(32), nullable=False, server_default=""),
    Column("closed_at", String(32), nullable=False, server_default=""),
    Column("registry", String(400), nullable=False, server_default=""),
    Column("id_there", Integer, nullable=True),
)
"""`registry` is the address of the one in which its schema stands, empty: this store;
`id_there` the schema's id in it, once it is published."""

grant = Table(
    "grant",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("consumer", String(64), ForeignKey("consumer.id"), nullable=False, index=True),
    Column("dataset", String(128), nullable=False, index=True),
    Column("items", JSON, nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("scope", String(12), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date, nullable=False),
    Column("impact_assessment", Text, nullable=False),
    Column("notice", Text, nullable=False),
    Column("filter", JSON(none_as_null=True), nullable=True),
    Column("minors", Text, nullable=False),
    Column("join_domain", String(400), nullable=False),
    Column("released", JSON, nullable=False),
    Column("share", String(16), ForeignKey("share.id"), nullable=True, index=True),
    Column("state", String(16), nullable=False, server_default="ACTIVE"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("opening", String(16), nullable=True),
    Column("changed_at", String(32), nullable=False, server_default=""),
    sqlite_autoincrement=True,
)

published = Table(
    "published",
    metadata,
    Column("registry", String(400), primary_key=True),
    Column("subject", String(300), primary_key=True),
    Column("schema_id", Integer, ForeignKey("schema.id"), nullable=True),
)
"""Subjects that may stand in a registry elsewhere, noted before they are written there; which of
our schemas is the last that was kept there."""

domain = Table(
    "domain",
    metadata,
    Column("name", String(400), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("shown", JSON, nullable=False),
)

policy_version = Table(
    "policy_version",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("content", JSON, nullable=False),
    Column("author", String(200), nullable=False),
    Column("approver", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("applied_at", String(32), nullable=False),
)

revision = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
)
"""One row: how often grants, shares or the policy have changed."""

lease = Table(
    "lease",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("beat", Integer, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("consumer", String(64), ForeignKey("consumer.id"), nullable=False, index=True),
    Column("digest", String(64), nullable=False),
    Column("made_at", String(32), nullable=False),
    Column("revoked_at", String(32), nullable=False, server_default=""),
)

reader = Table(
    "reader",
    metadata,
    Column("share", String(16), ForeignKey("share.id"), primary_key=True),
    Column("consumer", String(64), ForeignKey("consumer.id"), primary_key=True),
)
"""Whom a share was ever given to: told that it is gone, where others hear of nothing."""

pull = Table(
    "pull",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("consumer", String(64), nullable=False, index=True),
    Column("api_key", String(16), nullable=False),
    Column("dataset", String(128), nullable=False),
    Column("share", String(16), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("position_from", JSON, nullable=False),
    Column("position_to", JSON, nullable=False),
    Column("records", Integer, nullable=False),
    sqlite_autoincrement=True,
)
"""What left over HTTP, batch by batch; the database itself refuses to change a row."""
