"""What an image looked like, in a few numbers."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.add_column("prediction", sa.Column("embedding", sa.JSON(), nullable=True))
