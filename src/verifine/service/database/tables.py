"""The tables as they are now; `migrations/versions` leads here from an empty database.

`seq` orders what an owner has, or the events of a job. It is drawn from a counter in the row of the owner or job,
which a transaction holds until it commits: a row that becomes visible later has a higher number, so a reader that has
seen one number has seen all below it.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = String(64)
_MODEL = String(400)

OWNERS = Table(
    "owners",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("served_at", Double, nullable=False),  # when a job of this owner was last started
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", _ID, primary_key=True),  # a part of the key, and no secret
    Column("owner_id", _ID, ForeignKey("owners.id"), nullable=False),
    Column("sha256", String(64), nullable=False),  # of its secret, which is nowhere
    Column("scopes", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("parent_id", _ID, ForeignKey("keys.id")),  # of a session: the key that it was begun with
    Column("is_session", Boolean, nullable=False),  # it is for a cookie, and no key for programs
    Index(None, "owner_id"),
    Index(None, "parent_id"),
)

FILES = Table(
    "files",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("owner_id", _ID, ForeignKey("owners.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),  # for people: it is never a path
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("expires_at", BigInteger),
    Column("deleted_at", BigInteger),  # the row stays, so that a cursor at it still has a place
    UniqueConstraint("owner_id", "seq"),
    Index(None, "owner_id", "sha256"),
)

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("owner_id", _ID, ForeignKey("owners.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("request", JSON, nullable=False),  # as OpenAI's wire has it, with what was "auto" decided
    Column("config", Text, nullable=False),  # the RunConfig, as YAML; empty while files are being validated
    Column("metadata", JSON, nullable=False),  # job_metadata is what it is found by
    Column("training_file", _ID, nullable=False),
    Column("validation_file", _ID),
    Column("finished_at", BigInteger),
    Column("failure", JSON),
    Column("last_event", BigInteger, nullable=False),  # the counter of job_events.seq
    Column("holder", String(255)),  # the supervisor that has claimed it
    Column("lease_until", Double),
    Column("fence", BigInteger, nullable=False),  # how often it was claimed
    Column("progress", JSON),  # how far its run was followed
    Column("fine_tuned_model", _MODEL),  # it stays when the model is deleted
    Column("result_files", JSON),  # their ids; NULL: it has not ended
    UniqueConstraint("owner_id", "seq"),
    Index(None, "owner_id", "state", "seq"),
)

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    METADATA,
    Column("owner_id", _ID, ForeignKey("owners.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("sha256", String(64), nullable=False),  # of the request
    Column("job_id", _ID, ForeignKey("jobs.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

JOB_METADATA = Table(
    "job_metadata",
    METADATA,
    Column("job_id", _ID, ForeignKey("jobs.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(512), nullable=False),
)

JOB_EVENTS = Table(
    "job_events",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("job_id", _ID, ForeignKey("jobs.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("level", String(8), nullable=False),
    Column("type", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("data", JSON),
    UniqueConstraint("job_id", "seq"),
)

MODELS = Table(
    "models",
    METADATA,
    Column("id", _MODEL, primary_key=True),  # the name that requests have
    Column("owner_id", _ID, ForeignKey("owners.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("job_id", _ID, ForeignKey("jobs.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("step", Integer, nullable=False),
    Column("base", _MODEL, nullable=False),  # the name of the model that its run loaded first
    Column("is_adapter", Boolean, nullable=False),
    Column("folder", Text, nullable=False),  # relative to the service's folder
    Column("deleted_at", BigInteger),
    UniqueConstraint("owner_id", "seq"),
    Index(None, "job_id"),
)

JOB_CHECKPOINTS = Table(
    "job_checkpoints",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("job_id", _ID, ForeignKey("jobs.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("model_id", _MODEL, ForeignKey("models.id"), nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("is_pause", Boolean, nullable=False),  # a pause's is kept, however good others are
    UniqueConstraint("job_id", "seq"),
    UniqueConstraint("job_id", "step"),
)

MARKS = Table(
    "marks",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("owner_id", _ID, ForeignKey("owners.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("run_id", _ID, nullable=False),  # a job's id, or that of a run of the command line
    Column("step", Integer, nullable=False),
    Column("group_index", Integer, nullable=False),
    Column("sample", Integer, nullable=False),
    Column("is_flagged", Boolean, nullable=False),
    Column("note", JSON, nullable=False),  # PostgreSQL's text holds no NUL
    Column("answer", JSON, nullable=False),  # its prompt, text and score, which the run may not keep
    UniqueConstraint("owner_id", "seq"),
    UniqueConstraint("owner_id", "run_id", "step", "group_index", "sample"),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", _ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("act", String(32), nullable=False),
    Column("owner_id", _ID),  # who did it; NULL: whoever runs the service
    Column("key_id", _ID),
    Column("object_id", _MODEL),
    Column("request_id", _ID),
    Column("status", Integer),  # of the answer
    UniqueConstraint("id"),
)
