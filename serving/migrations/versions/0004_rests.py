"""A job may rest before its next attempt."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    op.add_column("job", sa.Column("rests_until", sa.Float(), nullable=True))
