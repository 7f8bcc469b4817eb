"""The tables of the store. A change here needs a step in `serving/migrations/versions/`; a test compares the two."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # sha256 of the secret, which is kept nowhere
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Boolean, nullable=False, default=False),
)

worker = Table(
    "worker",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("token_id", ForeignKey("token.id"), nullable=False),
    Column("version", String(80), nullable=False),
    Column("machine", String(200), nullable=False),
    Column("declared", JSON, nullable=False),  # what its jobs have where they say nothing: key → value
    Column("joined", Float, nullable=False),
    Column("seen", Float, nullable=False),
)

sweep = Table(
    "sweep",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(80), unique=True),  # given by the client; the same one again answers the same sweep
    Column("endpoint", String(64), nullable=False),
    Column("request", JSON, nullable=False),
    Column("unknown", JSON, nullable=False),  # key → what is nearest
    Column("size", Integer, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("created", Float, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sweep_id", ForeignKey("sweep.id")),
    Column("kind", String(16), nullable=False),  # train | evaluate
    Column("endpoint", String(64), nullable=False),
    Column("overrides", JSON, nullable=False),
    Column("subject_id", Integer),  # the model that an evaluation measures
    Column("for_id", Integer),  # the candidate that waits for it
    Column("priority", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("worker_id", ForeignKey("worker.id")),
    Column("fence", Integer, nullable=False),  # grows with each claim; a write that carries a former one is refused
    Column("lease_until", Float),
    Column("cancel_requested", Boolean, nullable=False),
    Column("model_id", Integer),
    Column("error", Text),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Index("job_queue", "state", "priority", "id"),
)

job_event = Table(
    "job_event",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),  # counted by the worker: what is sent twice is kept once
    Column("kind", String(12), nullable=False),  # line | figures
    Column("payload", JSON, nullable=False),
    Column("at", Float, nullable=False),
)

model = Table(
    "model",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("file_sha256", String(64), nullable=False),  # of model.safetensors: what is shown, and the blob's name
    Column("manifest_sha256", String(64), nullable=False),
    Column("configuration_sha256", String(64)),
    Column("golden_sha256", String(64)),  # a few images with the answers that the model gave where it was trained
    Column("weights_sha256", String(64), nullable=False),  # over names, types, shapes and bytes of the tensors
    Column("bytes", BigInteger, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("task", String(32), nullable=False),
    Column("architecture", String(200), nullable=False),
    Column("classes", JSON, nullable=False),
    Column("parent_sha256", String(64)),
    Column("data_digest", String(64), nullable=False),
    Column("split", JSON, nullable=False),  # how the data were divided: salt and shares
    Column("configuration_digest", String(64), nullable=False),
    Column("code_version", String(80), nullable=False),
    Column("job_id", ForeignKey("job.id"), unique=True),
    Column("worker", String(80)),
    Column("actor", String(80), nullable=False),
    Column("created", Float, nullable=False),
    Column("verdict", JSON),  # of the automatic deployment: {"promote": …, "why": …}
    Column("pruned", Float),  # when its files were given up; the row stays
    UniqueConstraint("name", "version"),
)

evaluation = Table(
    "evaluation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", ForeignKey("model.id"), nullable=False),
    Column("set_digest", String(64), nullable=False),  # of the images and labels it was measured on
    Column("split", String(8), nullable=False),
    Column("images", Integer, nullable=False),
    Column("figures", JSON, nullable=False),  # name → value
    Column("predictions_sha256", String(64)),
    Column("created", Float, nullable=False),
    UniqueConstraint("model_id", "set_digest"),
)

endpoint = Table(
    "endpoint",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("model_id", ForeignKey("model.id")),
    Column("generation", Integer, nullable=False),
    Column("frozen", Boolean, nullable=False),
)

history = Table(  # append-only: triggers refuse a change
    "history",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(24), nullable=False),
    Column("endpoint", String(64)),
    Column("generation", Integer),  # where what is live changed
    Column("from_id", Integer),
    Column("to_id", Integer),
    Column("why", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    UniqueConstraint("endpoint", "generation"),
)
