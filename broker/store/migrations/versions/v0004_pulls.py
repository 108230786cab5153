"""A pull cannot be replaced either: SQLite's REPLACE deletes a row without asking its triggers.

Elsewhere nothing replaces a row but an update, which is refused already.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Refuse a pull whose place is taken."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER pull_stays_INSERT BEFORE INSERT ON pull"
            " WHEN EXISTS (SELECT 1 FROM pull WHERE sequence = NEW.sequence)"
            " BEGIN SELECT RAISE(ABORT, 'append-only'); END"
        )
