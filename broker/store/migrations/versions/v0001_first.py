"""Consumers, schemas, shares, grants."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "consumer",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("department", sa.String(64), nullable=False),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
    )
    op.create_table(
        "schema",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        sa.Column("content", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "share",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("dataset", sa.String(128), nullable=False, index=True),
        sa.Column("identity", sa.String(64), nullable=False, index=True),
        sa.Column("effects", sa.JSON, nullable=False),
        sa.Column("rows", sa.JSON, nullable=False),
        sa.Column("domain", sa.String(400), nullable=False),
        sa.Column("schema_id", sa.Integer, sa.ForeignKey("schema.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_table(
        "grant",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(16), nullable=False, unique=True),
        sa.Column(
            "consumer", sa.String(64), sa.ForeignKey("consumer.id"), nullable=False, index=True
        ),
        sa.Column("dataset", sa.String(128), nullable=False, index=True),
        sa.Column("items", sa.JSON, nullable=False),
        sa.Column("purpose", sa.String(200), nullable=False),
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("scope", sa.String(12), nullable=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("valid_until", sa.Date, nullable=False),
        sa.Column("impact_assessment", sa.Text, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("filter", sa.JSON, nullable=True),
        sa.Column("minors", sa.Text, nullable=False),
        sa.Column("join_domain", sa.String(400), nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("released", sa.JSON, nullable=False),
        sa.Column("share", sa.String(16), sa.ForeignKey("share.id"), nullable=True, index=True),
        sqlite_autoincrement=True,
    )
