"""The control store's tables: consumers, grants, shares, schemas.

Law: no value of a record stands here. The migrations build exactly these tables
(a test compares them).
"""

from sqlalchemy import (
    JSON,
    Boolean,
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
)

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
    Column("ended", Boolean, nullable=False),
    Column("released", JSON, nullable=False),
    Column("share", String(16), ForeignKey("share.id"), nullable=True, index=True),
    sqlite_autoincrement=True,
)
