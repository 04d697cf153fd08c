"""What jobs leave behind: tuned models and checkpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("fine_tuned_model", sa.String(400)))
    op.create_table(
        "models",
        sa.Column("id", sa.String(400), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("base", sa.String(400), nullable=False),
        sa.Column("is_adapter", sa.Boolean, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name="fk_models_owner_id"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_models_job_id"),
        sa.UniqueConstraint("owner_id", "seq", name="uq_models_owner_id_seq"),
    )
    op.create_index("ix_models_job_id", "models", ["job_id"])
    op.create_table(
        "job_checkpoints",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("model_id", sa.String(400), nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("is_pause", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_checkpoints"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_checkpoints_job_id"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_job_checkpoints_model_id"),
        sa.UniqueConstraint("job_id", "seq", name="uq_job_checkpoints_job_id_seq"),
        sa.UniqueConstraint("job_id", "step", name="uq_job_checkpoints_job_id_step"),
    )


def downgrade() -> None:
    op.drop_table("job_checkpoints")
    op.drop_table("models")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("fine_tuned_model")
