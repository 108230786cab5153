"""The life of grants and shares, pseudonym generations, policy versions, leases."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what a path that lives for a year has to remember."""
    with op.batch_alter_table("grant") as grant:
        grant.add_column(sa.Column("state", sa.String(16), nullable=False, server_default="ACTIVE"))
        grant.add_column(sa.Column("reason", sa.Text, nullable=False, server_default=""))
        grant.add_column(sa.Column("opening", sa.String(16), nullable=True))
    op.execute("UPDATE \"grant\" SET state = 'TERMINATED' WHERE ended")
    with op.batch_alter_table("grant") as grant:
        grant.drop_column("ended")
    with op.batch_alter_table("share") as share:
        share.add_column(sa.Column("opened_at", sa.String(32), nullable=False, server_default=""))
        share.add_column(sa.Column("closed_at", sa.String(32), nullable=False, server_default=""))
    op.create_table(
        "domain",
        sa.Column("name", sa.String(400), primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("shown", sa.JSON, nullable=False),
    )
    op.create_table(
        "policy_version",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("approver", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("applied_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.execute("INSERT INTO revision (id, number) VALUES (1, 0)")
    op.create_table(
        "lease",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("beat", sa.Integer, nullable=False),
    )
