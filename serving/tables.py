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

store_folder = Table(  # of a database of its own alone: serving.folder
    "store_folder",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("path", Text, nullable=False),  # where it was opened last
)

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
    Column("fence", Integer, nullable=False),  # grows with claims and retries; a write with a former one is refused
    Column("lease_until", Float),
    Column("rests_until", Float),  # no attempt before
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
    Column("shadow_id", ForeignKey("model.id")),  # answers beside what is live, and nobody is told
    Column("canary_id", ForeignKey("model.id")),  # answers some requests in its place
    Column("canary_share", Float),  # of the requests, from 0 to 1
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

prediction = Table(
    "prediction",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("key", String(32), nullable=False),  # as the client was told
    Column("endpoint", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("model_id", ForeignKey("model.id"), nullable=False),
    Column("role", String(8), nullable=False),  # live | shadow | canary
    Column("at", Float, nullable=False),
    Column("image_sha256", String(64), nullable=False),  # of the bytes as they were sent
    Column("choice", String(200)),
    Column("confidence", Float),
    Column("scores", JSON),  # of each class, in coarse steps
    Column("embedding", JSON),  # of the image: serving.monitoring.embedding
    Column("latency_ms", Float, nullable=False),
    Index("prediction_time", "endpoint", "at"),
    Index("prediction_window", "endpoint", "generation", "role", "id"),
    Index("prediction_image", "image_sha256"),
    Index("prediction_key", "key"),
)

drift = Table(
    "drift",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("model_id", ForeignKey("model.id"), nullable=False),
    Column("last_id", BigInteger, nullable=False),  # the prediction that the window ends with
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("p", Float, nullable=False),  # corrected for the number of tests
    Column("drifted", Boolean, nullable=False),
    Column("why", Text, nullable=False),
    Index("drift_place", "endpoint", "id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("prediction", String(32)),  # its key; the prediction itself may be gone
    Column("model_id", ForeignKey("model.id")),  # that gave the answer
    Column("image_sha256", String(64), nullable=False),  # of the bytes as they were sent
    Column("file_sha256", String(64), nullable=False),  # of the stored image, which is its name
    Column("bytes", Integer, nullable=False),
    Column("label", String(200)),  # null: the answer was wrong, and nobody knows what is right
    Column("known", Boolean, nullable=False),  # whether the label is one that the model can give
    Column("actor", String(80), nullable=False),
    Column("at", Float, nullable=False),
    Column("consumed", Float),  # when a training took it
    UniqueConstraint("endpoint", "image_sha256", "actor"),
)
