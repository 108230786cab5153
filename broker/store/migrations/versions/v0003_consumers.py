"""Consumers over HTTP: their keys, whom a share was given to, what left."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SQLITE = (
    "CREATE TRIGGER pull_stays_{verb} BEFORE {verb} ON pull"
    " BEGIN SELECT RAISE(ABORT, 'append-only'); END"
)
_POSTGRESQL = (
    "CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'append-only'; END $$",
    "CREATE TRIGGER pull_stays BEFORE UPDATE OR DELETE ON pull"
    " FOR EACH ROW EXECUTE FUNCTION append_only()",
)


def upgrade() -> None:
    """Add what reading over HTTP has to remember."""
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column(
            "consumer", sa.String(64), sa.ForeignKey("consumer.id"), nullable=False, index=True
        ),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_at", sa.String(32), nullable=False),
        sa.Column("revoked_at", sa.String(32), nullable=False, server_default=""),
    )
    op.create_table(
        "reader",
        sa.Column("share", sa.String(16), sa.ForeignKey("share.id"), primary_key=True),
        sa.Column("consumer", sa.String(64), sa.ForeignKey("consumer.id"), primary_key=True),
    )
    op.execute(
        'INSERT INTO reader (share, consumer) SELECT DISTINCT share, consumer FROM "grant"'
        " WHERE share IS NOT NULL"
    )
    op.create_table(
        "pull",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("consumer", sa.String(64), nullable=False, index=True),
        sa.Column("api_key", sa.String(16), nullable=False),
        sa.Column("dataset", sa.String(128), nullable=False),
        sa.Column("share", sa.String(16), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("position_from", sa.JSON, nullable=False),
        sa.Column("position_to", sa.JSON, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in (
        [_SQLITE.format(verb=verb) for verb in ("UPDATE", "DELETE")] if sqlite else _POSTGRESQL
    ):
        op.execute(statement)
