"""What jobs are made from, and requests that may be repeated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        # No service has made a job before this step, so the defaults are of no row.
        jobs.add_column(sa.Column("metadata", sa.JSON, nullable=False, server_default="{}"))
        jobs.add_column(sa.Column("training_file", sa.String(64), nullable=False, server_default=""))
        jobs.add_column(sa.Column("validation_file", sa.String(64)))
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("metadata", server_default=None)
        jobs.alter_column("training_file", server_default=None)
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "key", name="pk_idempotency_keys"),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name="fk_idempotency_keys_owner_id"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_idempotency_keys_job_id"),
    )


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    with op.batch_alter_table("jobs") as jobs:
        for column in ("validation_file", "training_file", "metadata"):
            jobs.drop_column(column)
