"""What is answered, drift, feedback; shadow and canary of an endpoint."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

CANDIDATES = ("shadow_id", "canary_id")


def upgrade() -> None:
    of_candidates()
    of_predictions()
    of_drift()
    of_feedback()


def of_candidates() -> None:
    """SQLite takes a foreign key along with a new column only where it stands in the column's own words."""
    if op.get_bind().dialect.name == "sqlite":
        for name in CANDIDATES:
            op.execute(f"ALTER TABLE endpoint ADD COLUMN {name} INTEGER REFERENCES model (id)")
    else:
        for name in CANDIDATES:
            op.add_column("endpoint", sa.Column(name, sa.Integer(), sa.ForeignKey("model.id"), nullable=True))
    op.add_column("endpoint", sa.Column("canary_share", sa.Float(), nullable=True))


def of_predictions() -> None:
    op.create_table(
        "prediction",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("choice", sa.String(length=200), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("scores", sa.JSON(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("prediction_time", "prediction", ["endpoint", "at"], unique=False)
    op.create_index("prediction_window", "prediction", ["endpoint", "generation", "role", "id"], unique=False)
    op.create_index("prediction_image", "prediction", ["image_sha256"], unique=False)
    op.create_index("prediction_key", "prediction", ["key"], unique=False)


def of_drift() -> None:
    op.create_table(
        "drift",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("p", sa.Float(), nullable=False),
        sa.Column("drifted", sa.Boolean(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("drift_place", "drift", ["endpoint", "id"], unique=False)


def of_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("prediction", sa.String(length=32), nullable=True),
        sa.Column("model_id", sa.Integer(), nullable=True),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("consumed", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("endpoint", "image_sha256", "actor"),
    )
