"""When a grant's state was last changed; who changed a consumer's tier."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what explains how a grant stands, and who stands behind a tier."""
    with op.batch_alter_table("grant") as grant:
        grant.add_column(sa.Column("changed_at", sa.String(32), nullable=False, server_default=""))
    op.create_table(
        "tier_change",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column(
            "consumer", sa.String(64), sa.ForeignKey("consumer.id"), nullable=False, index=True
        ),
        sa.Column("before", sa.Integer, nullable=False),
        sa.Column("after", sa.Integer, nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("approver", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
