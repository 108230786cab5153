"""Schemas that stand in a registry elsewhere, and the ids that they have there."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add in which registry a share's schema stands, and what was published."""
    with op.batch_alter_table("share") as share:
        share.add_column(sa.Column("registry", sa.String(400), nullable=False, server_default=""))
        share.add_column(sa.Column("id_there", sa.Integer, nullable=True))
    op.create_table(
        "published",
        sa.Column("registry", sa.String(400), primary_key=True),
        sa.Column("subject", sa.String(300), primary_key=True),
        sa.Column("schema_id", sa.Integer, sa.ForeignKey("schema.id"), nullable=True),
    )
